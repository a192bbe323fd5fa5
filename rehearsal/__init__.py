"""What stands in for the world: a Kafka, a Fluent, a shop and its rush, for demonstrations and tests."""
