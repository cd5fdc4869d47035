from pathlib import Path

import pytest

from cqrs.cli.demo_commands import Expected, outcome_text
from cqrs.messaging.message import Message
from cqrs.testing.outside_client import Outcome, Received
from service.demo import demo_commands
from tests.unit.cli.letters import StockException, dead_letter_of

CREATED = Received(Message("e", 0, 0, None, b"{}", (("ce_type", b"t.Created"),)), {})
ADDED = Received(Message("e", 0, 1, None, b"{}", (("ce_type", b"t.Added"),)), {})


def test_the_event_that_is_expected_contradicts_nothing() -> None:
    assert Expected(event="t.Created").contradiction(Outcome("1", (CREATED,))) is None


@pytest.mark.parametrize(
    ("events", "found"),
    [((), "no outcome in time"), ((ADDED,), "t.Added"), ((CREATED, ADDED), "t.Created, t.Added")],
)
def test_any_other_events_contradict(events: tuple[Received, ...], found: str) -> None:
    assert Expected(event="t.Created").contradiction(Outcome("1", events)) == f"expected t.Created, found {found}"


@pytest.mark.asyncio
async def test_a_refusal_is_expected_by_its_class() -> None:
    outcome = Outcome("1", (), await dead_letter_of())

    assert Expected(refusal=StockException).contradiction(outcome) is None
    assert (
        Expected(refusal=KeyError).contradiction(outcome) == "expected refused: KeyError, found refused: StockException"
    )
    assert Expected(event="t.Created").contradiction(outcome) == "expected t.Created, found refused: StockException"
    assert (
        Expected(refusal=KeyError).contradiction(Outcome("1", (CREATED,)))
        == "expected refused: KeyError, found t.Created"
    )


@pytest.mark.asyncio
async def test_a_command_that_is_both_handled_and_refused_is_never_as_expected() -> None:
    both = Outcome("1", (CREATED,), await dead_letter_of())

    assert Expected(event="t.Created").contradiction(both) is not None


def test_an_event_without_a_type_is_said_to_be_one() -> None:
    nameless = Received(Message("e", 0, 0, None, b"{}"), {})

    assert outcome_text(Outcome("1", (nameless,))) == "event without a type"


def test_the_order_services_demo_shows_every_kind_of_command() -> None:
    commands = demo_commands(Path("schemas"))

    assert len(commands) >= 12
    assert {command.form for command in commands} == {"JSON", "bare JSON", "Avro"}
    assert {command.type_name for command in commands} > {"orders.CreateOrder", "orders.AddItem", "orders.CancelOrder"}
    assert len({command.key for command in commands}) > 3
    assert {command.expected.event is None for command in commands} == {True, False}
    assert all((command.expected.event is None) != (command.expected.refusal is None) for command in commands)
