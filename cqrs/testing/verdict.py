"""What a `History` says of a run, and the evidence for it."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal, Self

Kind = Literal["lost", "duplicated", "reordered", "unknown"]
"""What can be wrong: a message left no outcome, had one twice, came too late, or was never sent."""

Stage = Literal["handled", "published", "dead-lettered"]
"""Where a message was seen: its handler ran, its event was published, it was put aside."""

SHOWN = 10
"""Findings of each kind that the text of a verdict names."""

KINDS: tuple[Kind, ...] = ("lost", "duplicated", "reordered", "unknown")


class HistoryException(AssertionError):
    """Report a run that lost, duplicated or reordered something; the message is the verdict with its evidence."""


@dataclass(frozen=True, slots=True)
class Overtaker:
    """Name the message that was seen too early.

    Attributes:
        message_id: Its id.
        number: How many-th of its key it was sent as, from 1.
        place: Where it was seen.
    """

    message_id: Hashable
    number: int
    place: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Hold one thing that is wrong, with all that is known of it.

    Attributes:
        kind: What is wrong.
        message_id: The message's id.
        key: Its key; None when nobody sent it.
        number: How many-th of its key it was sent as, from 1; 0 when nobody sent it.
        sent_at: Where it was stored when it was sent, as `topic[partition]@offset`; None when that was not told.
        stages: Where it was seen; empty when it was not.
        places: Where that lies, one for each time; `#3 handled` is the third that was told without a place.
        behind: Of a reordered message: the one that was sent later and seen before it.
    """

    kind: Kind
    message_id: Hashable
    key: Hashable = None
    number: int = 0
    sent_at: str | None = None
    stages: tuple[Stage, ...] = ()
    places: tuple[str, ...] = ()
    behind: Overtaker | None = None

    def __str__(self) -> str:
        """Return one line: what is wrong with which message, and where the evidence lies."""
        return f"{self.kind:<10}  {self._message()}: {self._evidence()}"

    def _message(self) -> str:
        if not self.number:
            return f"id {self.message_id}"
        sent = "" if self.sent_at is None else f", sent at {self.sent_at}"
        return f"key {_text(self.key)} #{self.number}, id {_text(self.message_id)}{sent}"

    def _evidence(self) -> str:
        seen, places = " and ".join(self.stages), ", ".join(self.places)
        if self.kind == "lost":
            return f"{seen} at {places}, but it has no outcome" if seen else "nothing was seen of it"
        if self.behind is not None:
            other = self.behind
            return f"{seen} at {places}, behind #{other.number} (id {_text(other.message_id)}) at {other.place}"
        if self.kind == "duplicated":
            return f"{seen} {len(self.places)} times, at {places}"
        return f"{seen} at {places}, but nobody sent it"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Say what became of the messages of a run; `str()` is a table with the evidence below it.

    Attributes:
        sent: Messages that were sent.
        keys: Different keys among them.
        seen: How often messages were seen, by stage.
        lost: Messages without an outcome.
        duplicated: Times that something was seen again: a message with three equal events counts 2.
        reordered: Times that a message was seen for the first time behind one of its key that was sent later.
        unknown: Times that something was seen of a message that nobody sent.
        findings: The evidence: the first findings of each kind.
    """

    sent: int
    keys: int
    seen: dict[Stage, int]
    lost: int
    duplicated: int
    reordered: int
    unknown: int
    findings: tuple[Finding, ...]

    @property
    def is_clean(self) -> bool:
        """Say whether nothing at all is wrong."""
        return not (self.lost or self.duplicated or self.reordered or self.unknown)

    def of(self, kind: Kind) -> Sequence[Finding]:
        """Return the evidence of one kind."""
        return [finding for finding in self.findings if finding.kind == kind]

    def require(self, *, duplicated: int = 0) -> Self:
        """Return itself when nothing is lost, reordered or unknown.

        Args:
            duplicated: So many repeats are right: at-least-once delivery repeats what was in hand in a crash.

        Raises:
            HistoryException: something is wrong; shows the evidence.
        """
        if self.lost or self.reordered or self.unknown or self.duplicated > duplicated:
            allowed = f"\nAllowed were {duplicated} duplicated." if duplicated else ""
            raise HistoryException(f"{self}{allowed}")
        return self

    def __str__(self) -> str:
        """Return the counts as a table, and below it the first findings of each kind."""
        columns: dict[str, int] = {"sent": self.sent, "keys": self.keys}
        columns.update((stage, count) for stage, count in self.seen.items() if count)
        columns.update((kind, self._count(kind)) for kind in KINDS)
        widths = [max(len(name), len(str(count))) for name, count in columns.items()]
        lines = [
            "  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True))
            for row in (list(columns), [str(count) for count in columns.values()])
        ]
        for kind in KINDS:
            lines += [str(finding) for finding in self.of(kind)[:SHOWN]]
            if self._count(kind) > SHOWN:
                lines.append(f"{kind:<10}  ... {self._count(kind)} in all")
        return "\n".join(lines)

    def _count(self, kind: Kind) -> int:
        return {
            "lost": self.lost,
            "duplicated": self.duplicated,
            "reordered": self.reordered,
            "unknown": self.unknown,
        }[kind]


def _text(value: Hashable) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
