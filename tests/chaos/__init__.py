"""Chaos on real Kafka: the order service and its brokers are killed, its group is shaken, nothing is lost."""
