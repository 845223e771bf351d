"""Sites, nodes, system and custom resources, specifications, pools, and the one rule of allocation."""
