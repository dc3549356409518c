"""Incidents: alerts that belong together, and how far apart in MITRE ATT&CK they are."""
