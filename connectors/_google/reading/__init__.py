"""Ways into Google Cloud: log entries, Pub/Sub, findings of Security Command Center."""
