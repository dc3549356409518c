"""What alerts add up to: incidents of those that belong together, and the risk of an entity."""
