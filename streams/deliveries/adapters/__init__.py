"""One file a kind of channel, each with one `Adapter`, found by walking."""
