"""The topics that a service needs, and what is wrong with those that there are."""

from collections.abc import Iterator, Mapping, Sequence


class ServiceTopics:
    """Know the topics of a service: the declared ones, and a dead letter topic beside each command topic.

    Args:
        commands: The topics whose records are commands.
        declared: Every declared topic and its partition count.
        dead_letter_suffix: What a dead letter topic's name adds to its source's.
        retries: For some command topics: the milliseconds that failed records wait in retry topics.
    """

    def __init__(
        self,
        commands: Sequence[str],
        declared: Mapping[str, int],
        dead_letter_suffix: str,
        retries: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        self._suffix = dead_letter_suffix
        self._retries = {
            topic: tuple(f"{topic}-retry-{delay}" for delay in delays) for topic, delays in (retries or {}).items()
        }
        self._delays = {f"{topic}-retry-{delay}": delay for topic, each in (retries or {}).items() for delay in each}
        self._sources = {name: topic for topic, names in self._retries.items() for name in names}
        self._letters = {topic: topic + dead_letter_suffix for topic in commands}
        sources = {topic: declared.get(topic, 1) for topic in commands}
        letters = {letter: sources[topic] for topic, letter in self._letters.items()}
        waiting = {name: sources.get(topic, 1) for name, topic in self._sources.items()}
        self.wanted: Mapping[str, int] = sources | letters | waiting | dict(declared)

    def retry_topics(self, source: str) -> tuple[str, ...]:
        """Return the retry topics of a command topic, the shortest delay first."""
        return self._retries.get(source, ())

    def source_of(self, topic: str) -> str:
        """Return the command topic of a retry topic; of any other, itself."""
        return self._sources.get(topic, topic)

    def delay_seconds(self, topic: str) -> float:
        """Return how long records wait in a retry topic; 0 for any other."""
        return self._delays.get(topic, 0) / 1000

    def dead_letter_topic(self, topic: str) -> str:
        """Return the topic of the dead letters of a command topic and of its retry topics."""
        return self.source_of(topic) + self._suffix

    def problems(self, existing: Mapping[str, int]) -> Iterator[str]:
        """Say what keeps the service from working on these topics, a sentence each.

        Args:
            existing: The broker's topics and their partition counts.
        """
        for topic, partitions in self.wanted.items():
            if topic not in existing:
                yield f"topic {topic!r} does not exist; create it, with {partitions} partitions for example"
        for source, letter in self._letters.items():
            if letter in existing and existing[letter] < existing.get(source, 0):
                yield (
                    f"topic {letter!r} has {existing[letter]} partitions and {source!r} has {existing[source]}; "
                    "a dead letter keeps its partition, so give it as many"
                )
