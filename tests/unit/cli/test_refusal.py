import pytest

from cqrs.cli.refusal import header_texts, refusal_of
from cqrs.exceptions import UndecodableMessageException
from cqrs.messaging import dead_letter_headers as names
from cqrs.messaging.message import Message
from tests.unit.cli.letters import StockException, dead_letter_of

PLAIN = Message("t", 0, 0, None, None)


@pytest.mark.asyncio
async def test_a_dead_letter_tells_why_and_from_where() -> None:
    refusal = refusal_of(await dead_letter_of())

    assert refusal.is_told
    assert refusal.exception == "cqrs.exceptions.CommandProcessingException"
    assert refusal.cause.endswith(".StockException")
    assert refusal.reason == refusal.cause
    assert refusal.is_by(StockException)
    assert not refusal.is_by(ValueError)
    assert refusal.message == "t.Do failed: StockException: sold out"
    assert "StockException: sold out" in refusal.stacktrace
    assert refusal.origin == "cmd[1]@7"


@pytest.mark.asyncio
async def test_what_was_raised_says_more_than_a_technical_cause() -> None:
    error = UndecodableMessageException("ends too early")
    error.__cause__ = EOFError()

    refusal = refusal_of(await dead_letter_of(error=error))

    assert refusal.reason == refusal.exception
    assert refusal.is_by(UndecodableMessageException)
    assert refusal.is_by(EOFError)


@pytest.mark.asyncio
async def test_an_error_without_cause_is_its_own() -> None:
    refusal = refusal_of(await dead_letter_of(error=ValueError("no")))

    assert refusal.exception == refusal.cause == refusal.reason == "builtins.ValueError"


def test_a_record_that_is_no_dead_letter_tells_nothing() -> None:
    refusal = refusal_of(PLAIN)

    assert not refusal.is_told
    assert (refusal.message, refusal.origin, refusal.stacktrace) == ("", "", "")


@pytest.mark.asyncio
async def test_numbers_in_headers_are_read() -> None:
    texts = dict(header_texts(await dead_letter_of()))

    assert texts[names.ORIGINAL_PARTITION] == "1"
    assert texts[names.ORIGINAL_OFFSET] == "7"
    assert texts[names.ORIGINAL_TIMESTAMP] == "1700000000000 (2023-11-14 22:13:20.000 UTC)"
    assert texts["ce_type"] == "t.Do"


def test_a_header_of_the_wrong_length_is_shown_as_it_is() -> None:
    headers = ((names.ORIGINAL_OFFSET, b"\x00\x01"), ("null", None), ("bytes", b"\xff"), ("esc", b"\x1b[2J"))

    assert list(header_texts(Message("t", 0, 0, None, None, headers))) == [
        (names.ORIGINAL_OFFSET, "\\x00\\x01"),
        ("null", "null"),
        ("bytes", "0xff"),
        ("esc", "\\x1b[2J"),
    ]


def test_headers_that_lie_about_themselves_do_no_harm() -> None:
    headers = ((names.ORIGINAL_TOPIC, b"\xff\x1b"), (names.EXCEPTION_FQCN, b"\x1b[2J"), (names.EXCEPTION_MESSAGE, None))
    refusal = refusal_of(Message("t", 0, 0, None, None, headers))

    assert refusal.exception == "\\x1b[2J"
    assert refusal.origin == "\ufffd\\x1b"
