"""The topics that a service needs, and what is wrong with those that there are."""

from collections.abc import Iterator, Mapping, Sequence


class ServiceTopics:
    """Know the topics of a service: the declared ones, and a dead letter topic beside each command topic.

    Args:
        commands: The topics whose records are commands.
        declared: Every declared topic and its partition count.
        dead_letter_suffix: What a dead letter topic's name adds to its source's.
    """

    def __init__(self, commands: Sequence[str], declared: Mapping[str, int], dead_letter_suffix: str) -> None:
        self._letters = {topic: topic + dead_letter_suffix for topic in commands}
        sources = {topic: declared.get(topic, 1) for topic in commands}
        letters = {letter: sources[topic] for topic, letter in self._letters.items()}
        self.wanted: Mapping[str, int] = sources | letters | dict(declared)

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
