"""The topics that a service needs, and what is wrong with those that there are."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Purpose = Literal["commands", "retries", "dead letters", "events", "declared"]
"""What a topic of a service is for."""

HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class TopicState:
    """Say how a topic is set up.

    Attributes:
        partitions: How many partitions it has.
        replication: How many copies of each; None where nothing is asked for, or it is not known.
        retention_ms: How long it keeps records, -1 for ever; None where nothing is asked for, or it is not known.
        min_insync: How many copies must acknowledge a write; None as above.
        cleanup: Its clean-up policy: `delete`, `compact`; None as above.
    """

    partitions: int
    replication: int | None = None
    retention_ms: int | None = None
    min_insync: int | None = None
    cleanup: str | None = None


@dataclass(frozen=True, slots=True)
class WantedTopic:
    """Name a topic that a service needs.

    Attributes:
        name: Its name.
        purpose: What for.
        wanted: How it should be set up.
        source: The topic whose partitions it must have as many of, or None.
    """

    name: str
    purpose: Purpose
    wanted: TopicState
    source: str | None = None


@dataclass(frozen=True, slots=True)
class TopicRules:
    """Say how topics are set up that a service makes.

    Attributes:
        replication: Copies of each; None for the broker's default.
        min_insync: Copies that must acknowledge a write; None for the broker's default.
        retention_hours: How long named topics keep records.
        letter_hours: How long dead letters are kept.
    """

    replication: int | None = None
    min_insync: int | None = None
    retention_hours: Mapping[str, float] | None = None
    letter_hours: float = 336.0


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

    def plan(self, rules: TopicRules, destinations: Iterable[str] = ()) -> list[WantedTopic]:
        """Return every topic that the service needs, with how it should be set up.

        Args:
            rules: How topics are set up.
            destinations: Where the handlers' events go.
        """
        names = dict.fromkeys([*self.wanted, *destinations])
        sent = frozenset(destinations)
        return [self._planned(name, self._purpose(name, sent), rules) for name in names]

    def _purpose(self, name: str, destinations: frozenset[str]) -> Purpose:
        if name in self._letters:
            return "commands"
        if name in self._sources:
            return "retries"
        if name in self._letters.values():
            return "dead letters"
        return "events" if name in destinations else "declared"

    def _planned(self, name: str, purpose: Purpose, rules: TopicRules) -> WantedTopic:
        hours = (rules.retention_hours or {}).get(name, rules.letter_hours if purpose == "dead letters" else None)
        retention = None if hours is None else int(hours * HOUR_MS)
        cleanup = "delete" if purpose in ("commands", "retries", "dead letters") else None
        state = TopicState(self.wanted.get(name, 1), rules.replication, retention, rules.min_insync, cleanup)
        return WantedTopic(name, purpose, state, self._beside(name))

    def _beside(self, name: str) -> str | None:
        """Return the topic beside which `name` stands: a record keeps its partition on its way there."""
        return self._sources.get(name) or next((topic for topic, each in self._letters.items() if each == name), None)

    def problems(self, existing: Mapping[str, int]) -> Iterator[str]:
        """Say what keeps the service from working on these topics, a sentence each.

        Args:
            existing: The broker's topics and their partition counts.
        """
        for topic, partitions in self.wanted.items():
            if topic not in existing:
                yield (
                    f"topic {topic!r} does not exist; create it, with {partitions} partitions for example: "
                    "`topics create` makes all that are missing"
                )
        for topic in self.wanted:
            source = self._beside(topic)
            if source is not None and topic in existing and existing[topic] < existing.get(source, 0):
                yield (
                    f"topic {topic!r} has {existing[topic]} partitions and {source!r} has {existing[source]}; "
                    "a record keeps its partition on its way there, so give it as many"
                )


def partitions_of(topic: WantedTopic, existing: Mapping[str, TopicState]) -> int:
    """Return how many partitions `topic` should have: as many as the topic it stands beside, if that has more."""
    beside = existing.get(topic.source) if topic.source is not None else None
    return max(topic.wanted.partitions, beside.partitions if beside is not None else 0)


def shortcomings(topic: WantedTopic, existing: Mapping[str, TopicState]) -> Iterator[str]:
    """Say what keeps a topic from being used as it should, a few words each.

    Args:
        topic: The topic, as it should be.
        existing: The topics that there are.
    """
    wanted, there = topic.wanted, existing.get(topic.name)
    if there is None:
        yield "missing"
        return
    if there.partitions < (partitions := partitions_of(topic, existing)):
        yield f"{there.partitions} partitions of {partitions}"
    if _known(wanted.replication, there.replication) and (there.replication or 0) < (wanted.replication or 0):
        yield f"{there.replication} copies of {wanted.replication}"
    if _known(wanted.min_insync, there.min_insync) and there.min_insync != wanted.min_insync:
        yield f"min.insync.replicas is {there.min_insync}, not {wanted.min_insync}"
    if _known(wanted.retention_ms, there.retention_ms) and _shorter(there.retention_ms, wanted.retention_ms):
        yield f"keeps records for {hours(there.retention_ms)}, not {hours(wanted.retention_ms)}"
    if wanted.cleanup is not None and there.cleanup is not None and wanted.cleanup != there.cleanup:
        yield f"cleanup.policy is {there.cleanup}, which loses records of the same key"


def hours(milliseconds: int | None) -> str:
    """Return a retention as people write it."""
    if milliseconds is None:
        return "default"
    return "ever" if milliseconds < 0 else f"{milliseconds / HOUR_MS:g} h"


def _known(*values: int | None) -> bool:
    return all(value is not None for value in values)


def _shorter(there: int | None, wanted: int | None) -> bool:
    return there is not None and wanted is not None and 0 <= there < (wanted if wanted >= 0 else there + 1)
