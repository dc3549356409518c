"""What GitHub alone needs."""
