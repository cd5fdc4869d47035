"""What became of commands is told in one pass over what was read."""

import pytest

from cqrs.messaging.envelope import Envelope, read_envelope
from cqrs.messaging.message import Message
from cqrs.testing import outside_outcomes
from cqrs.testing.outside_outcomes import OutcomeIndex, Received, outcomes_of


def test_records_are_looked_at_once_however_many_commands_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Message] = []

    def look(message: Message) -> Envelope:
        looks.append(message)
        return read_envelope(message)

    monkeypatch.setattr(outside_outcomes, "read_envelope", look)
    ids = [str(number) for number in range(200)]

    found = outcomes_of(ids, [Received(event(each, int(each))) for each in ids])

    assert [outcome.events[0].message.offset for outcome in found] == list(range(200))
    assert len(looks) == 200


def test_an_index_takes_what_a_growing_list_holds_beyond_what_it_took() -> None:
    index, received = OutcomeIndex("-dlt"), [Received(event("a", 0))]

    assert index.take(received) == {"a"}
    received.append(Received(Message("t-dlt", 0, 0, None, None, (("ce_id", b"b"),))))
    assert index.take(received) == {"b"}
    assert index.take(received) == set()

    assert (len(index.of("a").events), index.of("a").dead_letter) == (1, None)
    assert (index.of("b").events, index.of("b").dead_letter) == ((), received[1].message)
    assert not index.of("c").is_known


def event(cause: str, offset: int) -> Message:
    return Message("t", 0, offset, None, None, (("ce_causationid", cause.encode()),))
