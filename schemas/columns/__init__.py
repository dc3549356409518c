"""A batch of JSON events column by column, decoded where somebody looks; see `records`."""
