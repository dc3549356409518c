"""What Google Workspace alone needs."""
