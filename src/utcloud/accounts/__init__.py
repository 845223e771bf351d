"""Users, groups, roles, sessions, API tokens, audit trail."""
