"""What the sources of Sentinel's own events share."""
