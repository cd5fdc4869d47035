import asyncio
import os

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from cqrs.exceptions import UnpublishableEventException
from cqrs.kafka import judging
from cqrs.kafka.judging import Judge, large_batch
from cqrs.kafka.queued import QueuedMessage
from cqrs.messaging.dead_letter_headers import ORIGINAL_TOPIC
from cqrs.messaging.message import Headers, OutgoingMessage

DEAD: Headers = ((ORIGINAL_TOPIC, b"orders"),)
ODD: Headers = (("\udcff", b""),)


def judged(limit: int, key: bytes | None, value: bytes | None, headers: Headers = ()) -> QueuedMessage:
    loop = asyncio.new_event_loop()
    try:
        found = QueuedMessage(OutgoingMessage("t", key, value, headers), list(headers), loop.create_future(), 0.0, 0)
        Judge(limit).judge(found)
    finally:
        loop.close()
    return found


@given(st.binary(max_size=40), st.binary(max_size=200), st.integers(90, 400))
def test_a_message_is_refused_when_aiokafka_would_find_it_too_large(key: bytes, value: bytes, limit: int) -> None:
    size = DefaultRecordBatchBuilder.estimate_size_in_bytes(key, value, [])
    if size > limit:
        with pytest.raises(UnpublishableEventException, match=rf"{size} bytes are larger than the maximum, .*{limit}"):
            judged(limit, key, value)
    else:
        found = judged(limit, key, value)
        assert (found.alone, found.is_large, found.single) == (False, False, None)


@pytest.mark.parametrize(
    ("value", "headers", "limit", "large"),
    [
        (b"v" * 70_000, DEAD, 1_000_000, True),
        (b"v" * 1_000, DEAD, 1_000_000, False),
        (b"v" * 1_000, DEAD, 500, True),
        (b"v" * 70_000, DEAD + ODD, 1_000_000, True),
        (b"v" * 70_000, (), 1_000_000, False),
    ],
)
def test_only_large_dead_letters_go_by_the_client_for_large_messages(
    value: bytes, headers: Headers, limit: int, large: bool
) -> None:
    found = judged(limit, b"k", value, headers)
    assert (found.alone, found.is_large, found.single) == (large, large, None)


def test_a_name_that_is_not_utf_8_gets_a_batch_of_its_own() -> None:
    found = judged(1_000, b"k", b"v", ODD)
    assert found.alone
    assert not found.is_large
    assert found.single is not None
    with pytest.raises(UnpublishableEventException, match="larger than the maximum"):
        judged(1_000, b"k", b"v" * 1_000, ODD)


@pytest.mark.parametrize("headers", [(), ODD], ids=["plain", "odd name"])
@pytest.mark.parametrize(
    ("key", "value", "header"),
    [
        ("k", b"v", ("h", b"")),
        (b"k", "v", ("h", b"")),
        (b"k", 1, ("h", b"")),
        (b"k", b"v", (b"h", b"")),
        (b"k", b"v", ("h", "text")),
        (b"k", b"v", ("h",)),
        (b"k", b"v", ("\ud800", b"")),
    ],
)
def test_what_cannot_be_written_is_refused(key: bytes, value: bytes, header: object, headers: Headers) -> None:
    with pytest.raises(UnpublishableEventException, match="cannot be written"):
        judged(1_000, key, value, (*headers, header))  # type: ignore[arg-type]


def test_a_large_batch_is_compressed_and_within_what_a_broker_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert large_batch(OutgoingMessage("t", b"k", b"v" * 200_000, DEAD)).size() < 1_000
    monkeypatch.setattr(judging, "_LARGEST_REQUEST", 10_000)
    with pytest.raises(UnpublishableEventException, match="more than any broker takes"):
        large_batch(OutgoingMessage("t", b"k", os.urandom(10_000), DEAD))
    with pytest.raises(UnpublishableEventException, match="a header's name cannot be written"):
        large_batch(OutgoingMessage("t", b"k", b"v", (("\ud800", b""),)))
