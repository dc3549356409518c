"""Trivy: its kinds of reports taken apart, and each kind of finding in OCSF."""
