"""Say whether what an order went through can be: its events, its dead letters, and what the database keeps.

At-least-once without an inbox runs a command again when its process died before its offset was committed. So an order
has seen a sequence of executions, of which its events and dead letters bear witness:

- An event has the next version, or, when a crash took the state of the last event, that event's version again. The
  command whose state was taken runs again: behind it there is another event of it, or a dead letter, whose reason is in
  what came since.
- Each event is what the model makes of its command there, and what the database keeps is what the last event made.
- A dead letter is what the model says to its command at some moment between its neighbours' first executions; a command
  that never succeeded has no other moment.
- Repeats of an event carry its id.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from tests.chaos.orders.model import Command, Event, Order, Refusal, carry_out


@dataclass(frozen=True, slots=True)
class Published:
    """Be an event that was read, with its command's id, its own id and the place where it lies."""

    command: str
    id: str
    event: Event
    place: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Be a dead letter that was read: its command's id, the classes of what was raised, the place where it lies."""

    command: str
    why: tuple[str, ...]
    place: str


States = Sequence[Order | None]
"""The order before its first event, and after each one."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Hold all there is about one order.

    Attributes:
        order: Its id.
        commands: What was asked, in the order of sending.
        published: Its events, in the order of their partition.
        refused: Its dead letters, in the order of theirs.
        kept: What the database holds, or None.
    """

    order: str
    commands: Sequence[Command]
    published: Sequence[Published]
    refused: Sequence[Refused]
    kept: Order | None

    def problems(self) -> Iterator[str]:
        """Yield what cannot be, one sentence each, with the places of the evidence."""
        yield from self._ids()
        states = yield from self._states()
        if states is None:
            return  # what comes behind an impossible event says nothing
        yield from self._refusals(states)
        yield from self._taken(states)
        if states[-1] != self.kept:
            yield f"{self.order}: the database keeps {self.kept}, but its events make {states[-1]}"

    def _states(self) -> Generator[str, None, States | None]:
        commands = {each.id: each for each in self.commands}
        states: list[Order | None] = [None]
        before: Order | None = None  # what the last event was made of
        for each in self.published:
            now = states[-1]
            version = 0 if now is None else now.version
            if each.command not in commands:
                yield f"{each.place}: an event of {self.order}, but its command {each.command} was not sent for it"
                return None
            if each.event.version not in (version, version + 1) or each.event.version == 0:
                yield f"{each.place}: version {each.event.version} of {self.order} follows version {version}"
                return None
            before = now if each.event.version == version + 1 else before
            after, expected = carry_out(before, commands[each.command])
            if expected != each.event:
                yield f"{each.place}: {each.command} published {each.event}, but {before} makes it {expected}"
                return None
            states.append(after)
        return states

    def _refusals(self, states: States) -> Iterator[str]:
        numbers = {each.id: number for number, each in enumerate(self.commands)}
        first = self._first_events()
        # Of a command that was refused as well, nobody knows what came first.
        refused = {each.command for each in self.refused}
        positions = [None if each.id in refused else first.get(each.id) for each in self.commands]
        lowest = [0, *accumulate((each or 0 for each in positions), max)]
        last = len(states) - 1
        highest = [*accumulate((last if each is None else each - 1 for each in reversed(positions)), min)][::-1]
        seen: set[str] = set()
        for each in self.refused:
            number = numbers.get(each.command)
            if number is None:
                yield f"{each.place}: a dead letter of {self.order}, but its command {each.command} was not sent for it"
                continue
            is_repeat = each.command in seen or each.command in first
            upto = last if is_repeat else highest[number]
            seen.add(each.command)
            moments = states[lowest[number] : upto + 1]
            if not any(_refuses(state, self.commands[number], each.why) for state in moments):
                yield (
                    f"{each.place}: {each.command} was refused as {' by '.join(each.why)}, but it is a "
                    f"{self.commands[number].kind}, and from {moments[0]} to {moments[-1]} there is no such reason"
                )

    def _taken(self, states: States) -> Iterator[str]:
        """Yield each event whose state was taken, and whose command did not run again."""
        commands = {each.id: each for each in self.commands}
        last = {each.command: position for position, each in enumerate(self.published, 1)}
        for position, (each, following) in enumerate(pairwise(self.published), 1):
            if each.event.version != following.event.version or last[each.command] > position:
                continue
            # Letters lie in a topic of their own: that one came later is known by its reason alone.
            letters = [letter for letter in self.refused if letter.command == each.command]
            since = states[position + 1 :]
            if not any(_refuses(state, commands[each.command], letter.why) for letter in letters for state in since):
                yield (
                    f"{each.place}: {each.command} published version {each.event.version} of {self.order}, and so did "
                    f"{following.command} at {following.place}, but {each.command} did not run again: its state is lost"
                )

    def _first_events(self) -> Mapping[str, int]:
        found: dict[str, int] = {}
        for position, each in enumerate(self.published, 1):
            found.setdefault(each.command, position)
        return found

    def _ids(self) -> Iterator[str]:
        known: dict[str, Published] = {}
        for each in self.published:
            other = known.setdefault(each.command, each)
            if other.id != each.id:
                yield f"{each.place}: {each.command} published {each.id}, and at {other.place} as {other.id}"


def _refuses(state: Order | None, command: Command, why: Sequence[str]) -> bool:
    _, said = carry_out(state, command)
    return isinstance(said, Refusal) and said.why in why
