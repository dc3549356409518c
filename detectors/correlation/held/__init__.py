"""What the engine of correlations keeps: groups of events, evidence, clocks."""
