"""What `evaluate attacks` and `evaluate sigma` run."""
