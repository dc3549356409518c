"""The parts of the auditd connector: records, events, assembling, Sigma fields, OCSF."""
