"""rebalance_storm: members join and leave without a pause, in order and by SIGKILL; nothing is lost or out of order."""

import random
import shutil
import tempfile
import time
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

from cqrs.messaging.message import Message
from cqrs.testing.history import History
from tests.chaos import logs
from tests.chaos.member import COMMIT_RECORDS, IN_FLIGHT, Membership, run_member
from tests.chaos.processes import Forked
from tests.chaos.results import Progress, Result

NAME = "rebalance_storm"
KEYS_PER_PARTITION = 25
COPIES = 12
REPEATED_AFTER_A_KILL = IN_FLIGHT + 2 * COMMIT_RECORDS
SHORT = 6, 24
"""Members and partitions of a short run."""

FEWEST = 0.6
"""The part of the members that stays at least."""

_BY_SIGKILL = 5
"""Each so-manieth that leaves."""

_LOOK_SECONDS = 1.0
_TELL_SECONDS = 5.0
_NOBODY = -1


@dataclass(frozen=True, slots=True)
class Storm:
    """Say how large the storm is.

    Attributes:
        seed: What decides who comes and goes.
        members: The most at once.
        partitions: Of the topic they share.
        records: How many they copy.
        change_seconds: Between two changes of the group.
        session_seconds: Silence after which a member is taken for dead.
        work_seconds: How long each record is in work.
        most_seconds: When the storm ends at the latest, whether or not everything was copied.
    """

    seed: int
    members: int = 12
    partitions: int = 80
    records: int = 500_000
    change_seconds: float = 0.5
    session_seconds: float = 2.0
    work_seconds: float = 0.01
    most_seconds: float = 3_600.0

    @property
    def again(self) -> str:
        """Return the arguments that run this alone."""
        short = " --short" if (self.members, self.partitions) == SHORT else ""
        return f"{NAME} --seed {self.seed} --records {self.records}{short}"


def run_storm(storm: Storm, kafka: str, progress: Progress) -> Result:
    """Send, shake the group until everything is copied, judge."""
    begun = time.monotonic()
    name = f"storm{storm.seed}x{time.time_ns() // 1_000_000 % 10**9}"
    source, target = f"{name}.in", f"{name}.out"
    logs.create(kafka, {source: storm.partitions, target: COPIES})
    keys = [f"k{number}".encode() for number in range(storm.partitions * KEYS_PER_PARTITION)]
    logs.send(
        kafka,
        source,
        ((keys[number % len(keys)], b"%d" % number, []) for number in range(storm.records)),
    )
    progress.say(f"{NAME}: {storm.records:,} records sent")
    with logs.Log(kafka, source) as log:
        ends = log.ends()
    membership = Membership(kafka, name, source, target, storm.session_seconds, storm.work_seconds)
    with Group(storm, membership) as group, logs.Log(kafka, target) as log:
        try:
            group.shake(ends, progress)
        except TimeoutError as error:
            group.problems.append(str(error))
        finally:
            group.end()
        copies = Copies(storm.records, len(keys), log.to_end())
        group.problems += copies.problems(group.fates)
    return Result(
        NAME,
        f"seed {storm.seed}, {storm.members} members, {storm.partitions} partitions",
        {
            "records": storm.records,
            **group.measured(),
            **copies.measured(group.fates),
            "records/s": round(storm.records / group.seconds) if group.seconds else 0,
        },
        group.problems,
        storm.again,
        time.monotonic() - begun,
    )


class Group:
    """Let members come and go; what they wrote is gone behind the block if all was well.

    Attributes:
        fates: How each one that was ever a member went: `SIGTERM`, `SIGKILL`, or `stayed` to the end.
        problems: What must not be.
    """

    def __init__(self, storm: Storm, membership: Membership) -> None:
        self._storm = storm
        self._membership = membership
        self._chance = random.Random(f"storm {storm.seed}")
        self._folder = Path(tempfile.mkdtemp(prefix="chaos-storm-"))
        self._present: list[Forked] = []
        self._leaving: list[Forked] = []
        self._gone = 0
        self.fates: dict[str, str] = {}
        self.problems: list[str] = []
        self.seconds = 0.0

    def __enter__(self) -> Self:
        """Return itself; nobody is a member yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Delete what the members wrote, unless something was wrong."""
        if error is None and not self.problems:
            shutil.rmtree(self._folder)

    def shake(self, ends: Mapping[int, int], progress: Progress) -> None:
        """Let everybody join, then change the group time and again until it has committed everything.

        Args:
            ends: The end of each partition.
            progress: Is told how far it has come.

        Raises:
            TimeoutError: it has not in time.
        """
        begun = time.monotonic()
        for _ in range(self._storm.members):
            self._join()
        changed, looked, told = begun, begun, begun
        done: Sequence[int] = ()
        while list(done) != [ends[number] for number in sorted(ends)]:
            now = time.monotonic()
            if now - begun > self._storm.most_seconds:
                raise TimeoutError(f"{sum(done):,} of {self._storm.records:,} committed within {now - begun:.0f} s")
            if now - looked > _LOOK_SECONDS:
                looked = now
                done = logs.committed(
                    self._membership.kafka, self._membership.group, self._membership.source, len(ends)
                )
            if now - told > _TELL_SECONDS:
                told = now
                members = f"{len(self._present)} members of {len(self.fates)} so far"
                progress.say(f"{NAME}: {sum(done):,} of {self._storm.records:,} committed, {members}")
            if now - changed >= self._storm.change_seconds:
                changed = now
                self._change()
            time.sleep(max(changed + self._storm.change_seconds - time.monotonic(), 0))
        self.seconds = time.monotonic() - begun

    def end(self) -> None:
        """Let everybody leave in order; that one does not is a problem."""
        for member in self._present:
            member.terminate()
        self.problems += [
            f"{member.name} ended with {code} on SIGTERM; its words: {member.log}"
            for member in (*self._present, *self._leaving)
            if (code := _ended(member)) != 0
        ]

    def measured(self) -> Mapping[str, object]:
        """Return how often the group changed."""
        gone = Counter(self.fates.values())
        return {
            "changes": len(self.fates) - self._storm.members + gone["SIGTERM"] + gone["SIGKILL"],
            "SIGTERM": gone["SIGTERM"],
            "SIGKILL": gone["SIGKILL"],
        }

    def _change(self) -> None:
        fewest = self._storm.members * FEWEST
        if len(self._present) < self._storm.members and (len(self._present) <= fewest or self._chance.random() < 0.5):
            self._join()
            return
        member = self._present.pop(self._chance.randrange(len(self._present)))
        self._gone += 1
        if self._gone % _BY_SIGKILL == 0:
            self.fates[member.name] = "SIGKILL"
            member.kill()
        else:
            self.fates[member.name] = "SIGTERM"
            member.terminate()
            self._leaving.append(member)

    def _join(self) -> None:
        name = f"m{len(self.fates)}"
        self.fates[name] = "stayed"
        log = self._folder / f"{name}.log"
        self._present.append(Forked(name, run_member, name, self._membership, log=log))


class Copies:
    """Read what the members copied, and find out whose work was done again."""

    def __init__(self, records: int, keys: int, copies: Iterable[Message]) -> None:
        self._history = History()
        for number in range(records):
            self._history.sent(number, number % keys)
        self._again: list[tuple[str, int, str]] = []
        names: list[str] = []
        last = array("l", [_NOBODY]) * records  # who copied a record last, by its number
        times = array("q")
        known: dict[str, int] = {}
        for message in copies:
            text, _, name = (message.value or b"").decode().partition(" ")
            number = int(text)
            self._history.published(number, message)
            times.append(message.timestamp_ms)
            if last[number] != _NOBODY:
                self._again.append((names[last[number]], number, message.place))
            if name not in known:
                known[name] = len(names)
                names.append(name)
            last[number] = known[name]
        self.longest_stall = max((later - sooner for sooner, later in pairwise(sorted(times))), default=0) / 1000
        self.verdict = self._history.verdict()

    def repeated(self, fates: Mapping[str, str]) -> Counter[str]:
        """Return how many records were copied again, by the fate of the member who had copied them before."""
        return Counter(fates[name] for name, _, _ in self._again)

    def measured(self, fates: Mapping[str, str]) -> Mapping[str, object]:
        """Return the counts."""
        again = self.repeated(fates)
        return {
            "lost": self.verdict.lost,
            "out of order": self.verdict.reordered,
            "repeated of SIGTERM": again["SIGTERM"],
            "of SIGKILL": again["SIGKILL"],
            "of others": again["stayed"],
            "longest stall": f"{self.longest_stall:.1f} s",
        }

    def problems(self, fates: Mapping[str, str]) -> Sequence[str]:
        """Return what must not be."""
        found = [str(self.verdict)] if self.verdict.lost or self.verdict.reordered or self.verdict.unknown else []
        for name, number, place in self._again:
            if fates[name] != "SIGKILL":
                found.append(f"{number} was copied by {name} ({fates[name]}), and again at {place}")
        killed = Counter(name for name, _, _ in self._again if fates[name] == "SIGKILL")
        for name, count in killed.items():
            if count > REPEATED_AFTER_A_KILL:
                found.append(f"{count} records of {name} (SIGKILL) were copied again, {REPEATED_AFTER_A_KILL} at most")
        return found


def _ended(member: Forked) -> int | str:
    try:
        return member.ended()
    except TimeoutError as error:
        member.kill()
        return str(error)
