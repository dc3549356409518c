"""Sources without Python: a mapping file says which field is what in OCSF."""
