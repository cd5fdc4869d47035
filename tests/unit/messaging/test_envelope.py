"""Whatever the header bytes, an envelope comes out; what it says follows WIRE."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs.messaging.envelope import derived_id, read_envelope, write_headers
from cqrs.messaging.message import Headers, Message


def message(*headers: tuple[str, bytes | None], timestamp_ms: int = 1_700_000_000_000) -> Message:
    return Message("orders.commands", 1, 7, b"o-1", b"{}", headers, timestamp_ms)


def test_cloudevents_headers_are_read() -> None:
    envelope = read_envelope(
        message(
            ("ce_id", b"m-1"),
            ("ce_type", b"orders.CreateOrder"),
            ("ce_source", b"/shop"),
            ("ce_subject", b"o-1"),
            ("ce_time", b"2026-01-02T03:04:05Z"),
            ("ce_correlationid", b"c-1"),
            ("ce_causationid", b"p-1"),
            ("content-type", b"Application/JSON; charset=utf-8"),
        )
    )

    assert (envelope.id, envelope.type, envelope.source, envelope.subject) == (
        "m-1",
        "orders.CreateOrder",
        "/shop",
        "o-1",
    )
    assert envelope.time == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert (envelope.correlation_id, envelope.causation_id) == ("c-1", "p-1")
    assert envelope.content_type == "application/json"
    assert envelope.ignored == ()
    assert envelope.conflict is None


def test_header_names_count_in_any_case() -> None:
    assert read_envelope(message(("CE_Type", b"t"), ("Content-Type", b"a/b"))).type == "t"


@pytest.mark.parametrize("alias", ["X-Correlation-ID", "correlation-id", "correlation_id", "kafka_correlationId"])
def test_aliases_of_the_correlation_id_are_read(alias: str) -> None:
    assert read_envelope(message((alias, b"c-9"))).correlation_id == "c-9"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_canonical_correlation_id_wins_over_an_alias(order: tuple[int, int]) -> None:
    headers = [("ce_correlationid", b"canonical"), ("X-Correlation-ID", b"alias")]

    assert read_envelope(message(*[headers[i] for i in order])).correlation_id == "canonical"


def test_a_root_message_is_its_own_correlation() -> None:
    envelope = read_envelope(message(("ce_id", b"m-1")))

    assert envelope.correlation_id == "m-1"


def test_a_record_without_an_id_gets_the_same_one_at_every_delivery() -> None:
    assert read_envelope(message()).id == read_envelope(message()).id == derived_id(message())
    assert derived_id(message()) != derived_id(Message("orders.commands", 1, 8, None, None))


@pytest.mark.parametrize("value", [b"\xff\xfe", None, b""])
def test_an_unreadable_value_is_ignored_and_named(value: bytes | None) -> None:
    envelope = read_envelope(message(("ce_type", value)))

    assert envelope.type is None
    assert envelope.ignored == ("ce_type",)


def test_the_last_readable_value_of_a_repeated_header_wins() -> None:
    envelope = read_envelope(message(("ce_source", b"a"), ("ce_source", b"b"), ("ce_source", None)))

    assert envelope.source == "b"


@pytest.mark.parametrize("name", ["ce_id", "ce_type", "content-type"])
def test_two_different_values_of_a_deciding_header_are_a_conflict(name: str) -> None:
    envelope = read_envelope(message((name, b"a"), (name, b"b")))

    assert envelope.conflict is not None
    assert name in envelope.conflict


def test_the_same_value_twice_is_no_conflict() -> None:
    assert read_envelope(message(("ce_type", b"a"), ("ce_type", b"a"))).conflict is None


@pytest.mark.parametrize(
    "text",
    [
        b"yesterday",
        b"2026-01-02T03:04:05",
        b"\xff",
        b"0001-01-01T00:00:00+14:00",
        b"9999-12-31T23:59:59-14:00",
    ],
)
def test_an_unreadable_time_falls_back_to_the_records_own(text: bytes) -> None:
    assert read_envelope(message(("ce_time", text))).time == datetime.fromtimestamp(1_700_000_000, UTC)


@pytest.mark.parametrize("timestamp", [-1, -(2**63), 2**63 - 1])
def test_no_timestamp_is_too_odd(timestamp: int) -> None:
    assert read_envelope(message(timestamp_ms=timestamp)).time.tzinfo is UTC


edges = st.datetimes(timezones=st.timezones()).map(lambda moment: moment.isoformat().encode())
offsets = st.builds(
    lambda year, hours: f"{year:04}-{'01-01' if year == 1 else '12-31'}T23:00:00{hours:+03}:00".encode(),
    st.sampled_from([1, 9999]),
    st.integers(-23, 23),
)
names = st.one_of(st.sampled_from(["ce_id", "CE_TYPE", "ce_time", "content-type", "X-Correlation-ID"]), st.text())


@given(
    st.lists(st.tuples(names, st.one_of(st.none(), st.binary(max_size=40), edges, offsets))),
    st.integers(-(2**63), 2**63 - 1),
)
def test_reading_never_fails(headers: list[tuple[str, bytes | None]], timestamp_ms: int) -> None:
    envelope = read_envelope(message(*headers, timestamp_ms=timestamp_ms))

    assert envelope.id
    assert envelope.correlation_id


def test_headers_without_a_value_are_left_out() -> None:
    written: Headers = write_headers({"ce_id": "m-1", "ce_subject": None})

    assert written == (("ce_id", b"m-1"),)


def test_a_redriven_dead_letter_has_the_id_of_the_record_that_it_was() -> None:
    first = message()
    origin = (
        ("kafka_dlt-original-topic", first.topic.encode()),
        ("kafka_dlt-original-partition", first.partition.to_bytes(4, "big")),
        ("kafka_dlt-original-offset", first.offset.to_bytes(8, "big")),
    )
    redriven = Message("orders.commands", 4, 999, b"o-1", b"{}", origin)

    assert read_envelope(redriven).id == read_envelope(first).id
    assert read_envelope(Message("orders.commands", 4, 999, b"o-1", b"{}", origin[:2])).id != read_envelope(first).id
