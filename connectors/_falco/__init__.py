"""What Falco alone needs."""
