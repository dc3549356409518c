"""What people change at the terminal without the API, with its lines of the audit log."""
