"""What osquery alone needs."""
