"""Names of span attributes, as plain strings, so that no room needs OpenTelemetry to name one.

The `messaging.*` and `error.type` names are OpenTelemetry's semantic conventions; a test compares them with
`opentelemetry.semconv`. The others are this package's own.
"""

from typing import Final

MESSAGING_SYSTEM: Final = "messaging.system"
"""The messaging system: always `kafka`."""

MESSAGING_OPERATION_TYPE: Final = "messaging.operation.type"
"""What kind of operation the span is: `send` or `process`."""

MESSAGING_OPERATION_NAME: Final = "messaging.operation.name"
"""What the operation is called here: `send` or `process`."""

MESSAGING_DESTINATION_NAME: Final = "messaging.destination.name"
"""The topic."""

MESSAGING_DESTINATION_PARTITION_ID: Final = "messaging.destination.partition.id"
"""The partition, as a string."""

MESSAGING_KAFKA_OFFSET: Final = "messaging.kafka.offset"
"""The record's offset in its partition."""

MESSAGING_KAFKA_MESSAGE_KEY: Final = "messaging.kafka.message.key"
"""The record's key as text; left out when it is absent or not UTF-8."""

MESSAGING_KAFKA_MESSAGE_TOMBSTONE: Final = "messaging.kafka.message.tombstone"
"""True for a record without a value."""

MESSAGING_CONSUMER_GROUP_NAME: Final = "messaging.consumer.group.name"
"""The consumer group that processes the record."""

MESSAGING_MESSAGE_ID: Final = "messaging.message.id"
"""The message's id (`ce_id`)."""

MESSAGING_MESSAGE_CONVERSATION_ID: Final = "messaging.message.conversation_id"
"""The message's correlation id (`ce_correlationid`)."""

MESSAGING_MESSAGE_BODY_SIZE: Final = "messaging.message.body.size"
"""The size of the record's value in bytes."""

ERROR_TYPE: Final = "error.type"
"""The class of the error that ended the operation."""

CORRELATION_ID: Final = "correlation_id"
"""The correlation id; the telemetry room sets it on every span."""

CANCELLED: Final = "cqrs.cancelled"
"""True on a span whose work was cancelled: neither a success nor an error."""

MESSAGE_TYPE: Final = "cqrs.message.type"
"""The declared name of the command, query or event."""

COMMAND_ID: Final = "cqrs.command.id"
"""The command's id."""

QUERY_ID: Final = "cqrs.query.id"
"""The query's id."""

HANDLER_NAME: Final = "cqrs.handler.name"
"""The handler's class."""

HANDLER_DESCRIPTION: Final = "cqrs.handler.description"
"""The handler's description, as its decorator gives it."""

HANDLER_TAGS: Final = "cqrs.handler.tags"
"""The handler's tags, as its decorator gives them."""

OUTCOME: Final = "cqrs.outcome"
"""How a processed record ended: `handled` or `dead_lettered`."""

CACHE_HIT: Final = "cqrs.cache.hit"
"""Whether a query was answered from the cache."""

KAFKA: Final = "kafka"
"""The value of `messaging.system`."""

OPERATION_SEND: Final = "send"
"""The value of `messaging.operation.type` and `.name` on a producer's span."""

OPERATION_PROCESS: Final = "process"
"""The value of `messaging.operation.type` and `.name` on a consumer's span."""
