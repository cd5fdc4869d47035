from dataclasses import replace
from decimal import Decimal

import pytest
from rich.console import Console

from cqrs.cli.demo_commands import DemoCommand, Expected
from cqrs.cli.outcome_views import Played, event_view, outcome_table, refusal_list, refused_view
from cqrs.messaging.message import Message, Receipt
from cqrs.testing.outside_client import Outcome, OutsideClient, Received, Sent
from tests.unit.cli.letters import dead_letter_of
from tests.unit.cli.rendering import rendered

SENT = Sent("1", "corr", Receipt("c", 0, 0), "k", None)
EVENT = Received(
    Message("e", 2, 3, None, b"", (("ce_type", b"t.Created"),)), {"total": Decimal("9.90"), "note": "\x1b[2J"}
)


def never(_client: OutsideClient, _topic: str) -> Sent:
    raise AssertionError("a view sends nothing")


COMMAND = DemoCommand("two items", "t.Create", "JSON", "o-1", never, Expected(event="t.Created"))
HANDLED = Played(1, COMMAND, SENT, Outcome("1", (EVENT,)))
UNKNOWN = Played(3, COMMAND, SENT, Outcome("3"))


@pytest.mark.asyncio
async def test_a_table_has_a_row_for_every_command() -> None:
    refused_one = Played(2, COMMAND, SENT, Outcome("2", (), await dead_letter_of()))

    rows = rendered(outcome_table([HANDLED, refused_one, UNKNOWN])).splitlines()

    assert rows[1].split() == ["#", "command", "case", "sent", "as", "key", "outcome"]
    assert rows[3].split() == ["1", "Create", "two", "items", "JSON", "o-1", "t.Created"]
    assert rows[4].split()[-2:] == ["refused:", "Stock"]
    assert rows[5].endswith("no outcome in time")


def test_a_table_of_long_words_keeps_within_the_width() -> None:
    long = replace(COMMAND, type_name="t." + "x" * 90, case="w" * 90, key="z" * 90)

    shown = rendered(outcome_table([replace(HANDLED, command=long)]))

    assert [shown.count(letter) for letter in "wz"] == [90, 90]


def test_an_event_shows_where_it_lies_and_what_it_says() -> None:
    assert rendered(event_view(EVENT)).splitlines() == [
        "t.Created  e[2]@3",
        '  {"total": "9.90", "note": "\\u001b[2J"}',
    ]
    unreadable = Received(EVENT.message, problem="no schema 7")
    assert rendered(event_view(unreadable)).endswith("\n  no schema 7")


@pytest.mark.asyncio
async def test_a_refused_command_shows_where_why_and_what_to_type() -> None:
    refused_one = Played(2, replace(COMMAND, case="sold out"), SENT, Outcome("2", (), await dead_letter_of()))

    shown = rendered(refusal_list([HANDLED, refused_one], "python -m s dead-letters \\\n  --file f"))

    assert shown.splitlines() == [
        " 2  Create  sold out",
        "    went to  cmd-dlt[1]@0",
        "    because  StockException: t.Do failed: StockException: sold out",
        "    to look at it:",
        "      python -m s dead-letters \\",
        "        --file f --at cmd-dlt:1:0",
    ]


@pytest.mark.asyncio
async def test_what_is_to_be_typed_can_be_copied() -> None:
    refused_one = Played(2, COMMAND, SENT, Outcome("2", (), await dead_letter_of()))
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(refused_view(refused_one, "python -m s dead-letters \\\n  --file f"))

    # A space behind the backslash would end the command there.
    assert "dead-letters \\\n        --file f --at cmd-dlt:1:0\n" in capture.get()


def test_a_handled_command_is_not_among_the_refused() -> None:
    assert rendered(refusal_list([HANDLED, UNKNOWN], "look")) == ""
