"""What Suricata alone needs."""
