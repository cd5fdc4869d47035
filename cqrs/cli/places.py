"""How a record is named: `topic:partition:offset`, or as it is printed, `topic[partition]@offset`."""

import re
from dataclasses import dataclass

from cqrs.messaging.message import Message

_FORMS = (
    re.compile(r"(?P<topic>[^\[\]@:]+):(?P<partition>\d+):(?P<offset>\d+)"),
    re.compile(r"(?P<topic>[^\[\]@:]+)\[(?P<partition>\d+)\]@(?P<offset>\d+)"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """Name one record."""

    topic: str
    partition: int
    offset: int

    @classmethod
    def of(cls, message: Message) -> "Place":
        """Return where `message` lies."""
        return cls(message.topic, message.partition, message.offset)

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Read a place in either form.

        Raises:
            ValueError: it is in neither.
        """
        found = next((match for form in _FORMS if (match := form.fullmatch(text.strip()))), None)
        if found is None:
            raise ValueError(f"{text!r} names no record; write topic:partition:offset, such as orders.commands-dlt:0:3")
        return cls(found["topic"], int(found["partition"]), int(found["offset"]))

    def __str__(self) -> str:
        """Return the form that needs no quotes in a shell."""
        return f"{self.topic}:{self.partition}:{self.offset}"
