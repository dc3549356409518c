"""Neural signals as pure functions; the engine comes with its own issue."""
