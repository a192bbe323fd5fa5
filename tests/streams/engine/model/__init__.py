"""A model of Kafka and of workers on it, for the protocol's test: every step can be the last one."""
