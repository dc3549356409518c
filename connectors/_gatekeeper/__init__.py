"""What Gatekeeper alone needs."""
