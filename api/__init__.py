"""The query layer: reads the stores, writes commands to topics, holds no state."""
