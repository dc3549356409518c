"""Rules from elsewhere: read from a folder or archive, and merged with what was edited here."""
