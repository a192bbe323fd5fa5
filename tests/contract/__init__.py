"""The contract: what is read and written, and how a process is configured. No Kafka needed."""
