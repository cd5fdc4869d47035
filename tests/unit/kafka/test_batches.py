import contextlib
import struct
from collections.abc import Callable

import pytest
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder, _DefaultRecordBatchPy
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from cqrs.kafka import batches
from cqrs.kafka.batches import MalformedBatchException, SingleRecordBatch
from cqrs.messaging.message import Headers, OutgoingMessage

PLACE = TopicPartition("orders", 1)

maybe_bytes = st.none() | st.binary(max_size=300)
utf8_names = st.text(max_size=12)
any_names = st.binary(max_size=12).map(lambda raw: raw.decode("utf-8", "surrogateescape"))


def header_tuples(names: st.SearchStrategy[str]) -> st.SearchStrategy[Headers]:
    return st.lists(st.tuples(names, maybe_bytes), max_size=4).map(tuple)


Plain = tuple[bytes | None, bytes | None, Headers]


def plain_records(names: st.SearchStrategy[str]) -> st.SearchStrategy[Plain]:
    return st.tuples(maybe_bytes, maybe_bytes, header_tuples(names))


def written(key: bytes | None, value: bytes | None, headers: Headers) -> bytes:
    return bytes(SingleRecordBatch(OutgoingMessage("orders", key, value, headers))._build())


def aiokafka_batch(records: list[Plain], codec: int = 0) -> bytes:
    builder = DefaultRecordBatchBuilder(
        2, codec, is_transactional=0, producer_id=7, producer_epoch=1, base_sequence=3, batch_size=10_000_000
    )
    for offset, (key, value, headers) in enumerate(records):
        builder.append(offset, timestamp=1_000 + offset, key=key, value=value, headers=list(headers))
    return bytes(builder.build())


def signed(batch: bytes) -> bytes:
    return batch[:17] + struct.pack(">I", calc_crc32c(batch[21:])) + batch[21:]


@given(plain_records(any_names))
def test_what_is_written_is_read_again(record: Plain) -> None:
    batch = written(*record)
    assert batches.is_intact(batch)
    [found] = batches.read_records(PLACE, batch)
    assert (found.key, found.value, found.headers) == record
    assert (found.topic, found.partition, found.offset) == ("orders", 1, 0)


@given(plain_records(utf8_names))
@pytest.mark.parametrize("reader", [DefaultRecordBatch, _DefaultRecordBatchPy])
def test_aiokafka_reads_what_is_written(reader: Callable[[bytes], DefaultRecordBatch], record: Plain) -> None:
    batch = reader(written(*record))
    assert batch.validate_crc()
    [found] = batch
    assert (found.key, found.value, tuple(found.headers)) == record


@given(st.lists(plain_records(utf8_names), min_size=1, max_size=5), st.sampled_from([0, 1, 2, 3, 4]))
def test_what_aiokafka_writes_is_read_as_aiokafka_reads_it(records: list[Plain], codec: int) -> None:
    batch = aiokafka_batch(records, codec)
    expected = [
        (r.offset, r.timestamp, r.timestamp_type, r.key, r.value, tuple(r.headers)) for r in DefaultRecordBatch(batch)
    ]
    found = batches.read_records(PLACE, batch)
    assert [(r.offset, r.timestamp, r.timestamp_type, r.key, r.value, r.headers) for r in found] == expected


@given(st.binary(max_size=200), st.integers(0, 200), st.booleans())
def test_no_bytes_raise_anything_else(garbage: bytes, at: int, whole: bool) -> None:
    good = aiokafka_batch([(b"key", b"value", (("name", b"1"),))] * 3)
    data = signed(good[:at] + garbage + good[at:]) if whole else garbage
    for batch in [data, *batches.split(data)]:
        batches.is_intact(batch)
        with contextlib.suppress(MalformedBatchException):
            list(batches.read_records(PLACE, batch))


def test_the_broker_s_own_time_is_recognised() -> None:
    batch = bytearray(aiokafka_batch([(b"k", b"v", ()), (b"k", b"v", ())]))
    batch[22] |= 0x08
    struct.pack_into(">q", batch, 35, 99_000)
    assert [(r.timestamp, r.timestamp_type) for r in batches.read_records(PLACE, bytes(batch))] == [(99_000, 1)] * 2


def test_a_record_set_is_split_and_its_cut_end_left_out() -> None:
    one, two = aiokafka_batch([(b"k", b"1", ())]), aiokafka_batch([(b"k", b"2", ())])
    assert list(batches.split(one + two)) == [one, two]
    assert list(batches.split(one + two[:-1])) == [one]
    assert list(batches.split(one + two[:5])) == [one]
    assert list(batches.split(b"\x00" * 8 + b"\xff" * 4 + one)) == []


def test_a_changed_byte_is_noticed() -> None:
    batch = bytearray(aiokafka_batch([(b"k", b"v", ())]))
    batch[-1] ^= 1
    assert not batches.is_intact(bytes(batch))


def test_the_offset_behind_a_batch_counts_what_compaction_removed() -> None:
    batch = bytearray(aiokafka_batch([(b"k", b"v", ())]))
    struct.pack_into(">q", batch, 0, 40)
    struct.pack_into(">i", batch, 23, 9)
    assert batches.read_header(bytes(batch)).next_offset == 50
    assert batches.first_offset(bytes(batch)) == 40
    assert batches.first_offset(b"") == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda batch: batch[:30], "61 bytes or more"),
        (lambda batch: batch[:16] + b"\x01" + batch[17:], "magic 1"),
        (lambda batch: batch[:22] + b"\x07" + batch[23:], "codec 7"),
        (lambda batch: batch[:22] + b"\x01" + batch[23:], "cannot decompress"),
        (lambda batch: batch[:-1], "bytes wanted"),
        (lambda batch: batch[:61] + b"\x04" + batch[62:], "its length says"),
        (lambda batch: batch[:61] + b"\xff" * 11, "more than 64 bits"),
    ],
)
def test_what_is_wrong_is_said(change: Callable[[bytes], bytes], reason: str) -> None:
    batch = change(aiokafka_batch([(b"key", b"value", (("name", b"1"),))]))
    with pytest.raises(MalformedBatchException, match=reason):
        list(batches.read_records(PLACE, batch))


def test_a_single_record_batch_carries_its_producer_and_refuses_more() -> None:
    batch = SingleRecordBatch(OutgoingMessage("orders", None, None))
    assert batch.append(timestamp=None, key=b"k", value=b"v") is None
    assert batch.record_count() == 1
    batch._set_producer_state(11, 2, 5)
    header = batches.read_header(bytes(batch._build()))
    assert (header.producer_id, header.producer_epoch, header.base_sequence) == (11, 2, 5)
    assert batch.size() == len(batch._build())


@given(plain_records(any_names), st.integers(0, 1_000))
def test_a_compressed_batch_holds_the_same_record(record: Plain, repeated: int) -> None:
    key, value, headers = record
    message = OutgoingMessage("orders", key, (value or b"") + b"x" * repeated, headers)
    batch = SingleRecordBatch(message, compress=True)
    built = bytes(batch._build())
    assert batches.is_intact(built)
    [found] = batches.read_records(PLACE, built)
    assert (found.key, found.value, found.headers) == (message.key, message.value, message.headers)
    assert batch.size() == len(built) <= SingleRecordBatch(message).size()


def test_a_compressed_batch_is_read_by_aiokafka() -> None:
    built = bytes(SingleRecordBatch(OutgoingMessage("orders", b"k", b"x" * 5_000_000), compress=True)._build())
    assert len(built) < 5_000
    [found] = DefaultRecordBatch(built)
    assert (found.key, found.value) == (b"k", b"x" * 5_000_000)


def test_what_does_not_get_smaller_is_left_as_it_is() -> None:
    message = OutgoingMessage("orders", b"k", bytes(range(64)))
    assert SingleRecordBatch(message, compress=True)._build()[21:23] == b"\x00\x00"
