"""The models of a tenant at work: which they are, how they score together, what they say."""
