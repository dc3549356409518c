"""Where records leave Kafka; one sink a file, found by `sentinel.registry.discover`."""
