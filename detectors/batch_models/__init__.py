"""Models trained on stored events, all at once, and scored in batches: `sentinel models`."""
