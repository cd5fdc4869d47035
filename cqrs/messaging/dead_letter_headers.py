"""Names of the headers on dead letters: Spring Kafka's, byte for byte, and those of our own.

Source: `KafkaHeaders` of spring-kafka 3.
"""

from typing import Final

PREFIX: Final = "kafka_dlt-"
"""What every header of Spring's begins with."""

ORIGINAL_TOPIC: Final = "kafka_dlt-original-topic"
ORIGINAL_PARTITION: Final = "kafka_dlt-original-partition"
ORIGINAL_OFFSET: Final = "kafka_dlt-original-offset"
ORIGINAL_TIMESTAMP: Final = "kafka_dlt-original-timestamp"
ORIGINAL_TIMESTAMP_TYPE: Final = "kafka_dlt-original-timestamp-type"
ORIGINAL_CONSUMER_GROUP: Final = "kafka_dlt-original-consumer-group"
EXCEPTION_FQCN: Final = "kafka_dlt-exception-fqcn"
EXCEPTION_CAUSE_FQCN: Final = "kafka_dlt-exception-cause-fqcn"
EXCEPTION_MESSAGE: Final = "kafka_dlt-exception-message"
EXCEPTION_STACKTRACE: Final = "kafka_dlt-exception-stacktrace"
OMITTED_VALUE: Final = "cqrs-dead-letter-omitted-bytes"
"""On a dead letter that is a reference: how many bytes the value had that the topic could not hold."""

HALTED_KEY: Final = "cqrs-halted-key"
"""On a dead letter of a halted key: `first` on the one that halted it, `follower` on those behind it."""

REDRIVE_COUNT: Final = "cqrs-redrive-count"
"""On a redriven record: how often it was sent back from the dead letters, in decimal digits."""

REDRIVE_TRACEPARENT: Final = "cqrs-redrive-traceparent"
"""On a redriven record: the `traceparent` of its dead letter, which a redrive links to and does not continue."""

REDRIVE_SEEN: Final = "cqrs-redrive-seen"
"""On a redriven record: the offset up to which its redrive had looked at the dead letters, in decimal digits."""

REDRIVE_RELEASE: Final = "cqrs-redrive-release"
"""On the last redriven record of a halted key: once it is done, and has not halted it anew, the key goes on."""
