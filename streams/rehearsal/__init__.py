"""The way from raw records to alerts without Kafka: the stages' own tasks, one after the other."""
