"""How each dead letter stands: outstanding, parked, of a halted key, settled, or another group's."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cqrs.cli.letter_file import Letter
from cqrs.config.settings import ServiceSettings
from cqrs.kafka.clients import new_group_admin, new_record_reader
from cqrs.messaging.letter_facts import LetterFacts, read_facts
from cqrs.messaging.message import Position, TopicPartition
from cqrs.messaging.redrive_ledger import Settled, redrive_group


@dataclass(frozen=True, slots=True)
class Standing:
    """Hold one letter and how it stands.

    Attributes:
        letter: The letter.
        is_settled: Whether it was redriven or discarded.
        is_parked: Whether it was sent back so often that it is not sent again.
        is_halted: Whether it belongs to a halted key.
        group: The other group that put it aside, or empty.
        count: How often it was sent back.
    """

    letter: Letter
    is_settled: bool
    is_parked: bool
    is_halted: bool
    group: str
    count: int

    @property
    def mark(self) -> str:
        """Return it in a few words, or nothing for a letter that is just outstanding."""
        words = ["settled"] if self.is_settled else []
        words += ["parked"] if self.is_parked and not self.is_settled else []
        words += ["halted key"] if self.is_halted and not self.is_settled else []
        words += [f"sent back {self.count} times"] if self.count else []
        words += [f"of group {self.group}"] if self.group else []
        return ", ".join(words)


def standings_of(
    settings: ServiceSettings, bootstrap_servers: str, letters: Sequence[Letter], limit: int
) -> list[Standing]:
    """Return how each of `letters` stands.

    Raises:
        DependencyUnavailableException: the broker is away.
    """
    owners = {
        topic + settings.dead_letter_suffix: group for group, topics in settings.groups.items() for topic in topics
    }
    facts = [read_facts(each.message) for each in letters]
    settled = asyncio.run(_settled(settings, bootstrap_servers, owners, {each.place for each in facts}))
    return [
        _standing(letter, fact, settled.get(fact.place), owners.get(fact.place.topic, ""), limit)
        for letter, fact in zip(letters, facts, strict=True)
    ]


def counted(standings: Sequence[Standing]) -> str:
    """Return how many there are of each kind, as a sentence."""
    ours = [each for each in standings if not each.group]
    outstanding = [each for each in ours if not each.is_settled]
    parts = [f"{len(outstanding)} outstanding"]
    parts += [f"{count} parked"] if (count := sum(each.is_parked for each in outstanding)) else []
    parts += [f"{count} of halted keys"] if (count := sum(each.is_halted for each in outstanding)) else []
    parts += [f"{count} settled"] if (count := len(ours) - len(outstanding)) else []
    parts += [f"{count} of other groups"] if (count := len(standings) - len(ours)) else []
    return ", ".join(parts)


async def _settled(
    settings: ServiceSettings, bootstrap_servers: str, owners: Mapping[str, str], places: set[TopicPartition]
) -> dict[TopicPartition, Settled]:
    found: dict[TopicPartition, Settled] = {}
    async with (
        new_group_admin(settings, bootstrap_servers) as admin,
        new_record_reader(settings, bootstrap_servers, sorted(places, key=_place)) as reader,
    ):
        spans = await reader.spans()
        for group in sorted({owners[each.topic] for each in places if each.topic in owners}):
            own = [each for each in places if owners.get(each.topic) == group]
            committed: Mapping[TopicPartition, Position | None] = await admin.positions(redrive_group(group), own)
            found |= {each: Settled(committed[each], spans[each].stop) for each in own}
    return found


def _standing(letter: Letter, fact: LetterFacts, settled: Settled | None, owner: str, limit: int) -> Standing:
    foreign = fact.group if fact.group not in ("", owner) else ""
    is_settled = not foreign and settled is not None and settled.holds(fact.offset)
    return Standing(letter, is_settled, fact.count >= limit, fact.is_halted, foreign, fact.count)


def _place(partition: TopicPartition) -> tuple[str, int]:
    return partition.topic, partition.partition
