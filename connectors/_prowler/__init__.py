"""Prowler: five shapes of the same finding, read through one table."""
