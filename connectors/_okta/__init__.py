"""What Okta alone needs."""
