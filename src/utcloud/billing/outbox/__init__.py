"""Brings what billing has to say to pages, webhooks and mailboxes; each message until it arrives or is given up."""
