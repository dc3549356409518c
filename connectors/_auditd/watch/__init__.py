"""Watching a host: rules for auditd, ways in, names for users, and a dog over lost records."""
