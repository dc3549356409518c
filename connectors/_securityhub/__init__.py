"""Findings in the AWS Security Finding Format (ASFF) as OCSF; `connectors.securityhub`."""
