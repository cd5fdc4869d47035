"""The reusable part of the service: commands and queries, their delivery over Kafka, and what surrounds them.

The rooms and their order are drawn in `docs/architecture.md`; import each name from the module that defines it.
"""
