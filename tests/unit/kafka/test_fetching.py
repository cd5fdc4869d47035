import struct
from collections.abc import Iterator

import pytest
from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition

from cqrs.exceptions import ConfigurationException
from cqrs.kafka.fetching import UNREADABLE_HEADER, _RecordSet, _TolerantRecords
from cqrs.kafka.rebinding import rebound
from cqrs.messaging.message import Message

PLACE = TopicPartition("orders", 0)
POISON = "\udcff\udcfe"


class Raw(str):
    """A header's name that aiokafka's pure Python builder writes as bytes that are not UTF-8."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return super().encode(encoding, "surrogateescape")


def batch(base_offset: int, *names: str, codec: int = 0, producer_id: int = -1, transactional: bool = False) -> bytes:
    """Build a batch with a record for each header's name."""
    builder = _DefaultRecordBatchBuilderPy(2, codec, int(transactional), producer_id, 0, 0, 10_000_000)
    for delta, name in enumerate(names):
        builder.append(delta, 1_000, b"k", b"v%d" % (base_offset + delta), [(Raw(name), b"")])
    built = bytes(builder.build())
    return struct.pack(">q", base_offset) + built[8:]


def abort_marker(base_offset: int, producer_id: int) -> bytes:
    builder = _DefaultRecordBatchBuilderPy(2, 0, 1, producer_id, 0, 0, 10_000_000)
    builder.append(0, 1_000, struct.pack(">hh", 0, 0), b"", [])
    built = bytearray(builder.build())
    built[22] |= 0x20
    return signed(struct.pack(">q", base_offset) + bytes(built[8:]))


def signed(data: bytes) -> bytes:
    return data[:17] + struct.pack(">I", calc_crc32c(data[21:])) + data[21:]


def damaged(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def malformed(data: bytes) -> bytes:
    return signed(data[:-1] + bytes([data[-1] ^ 0x40]))


class Partition:
    """Fetch from `log` as aiokafka does: from the position, in calls of at most `max_records`."""

    def __init__(self, log: bytes, position: int = 0, aborted: tuple[tuple[int, int], ...] = ()) -> None:
        self.log = log
        self.position = position
        self._aborted = aborted
        self._damaged: dict[tuple[TopicPartition, int], int] = {}

    def fetch(self, max_records: int = 100) -> list[Message]:
        records = _TolerantRecords(
            self._damaged, PLACE, _RecordSet(self.log), self._aborted, self.position, None, None, True, READ_COMMITTED
        )
        taken = []
        for record in records:
            taken.append(record)
            if len(taken) == max_records:
                break
        self.position = records.next_fetch_offset
        return taken


def offsets(records: list[Message]) -> list[int]:
    return [record.offset for record in records]


@pytest.mark.parametrize("codec", [0, 1, 2, 3, 4])
def test_a_poison_name_anywhere_in_a_batch_keeps_every_record_in_order(codec: int) -> None:
    log = batch(0, "a", "b") + batch(2, "c", POISON, "e", POISON, codec=codec) + batch(6, "g")
    records = Partition(log).fetch()
    assert offsets(records) == [0, 1, 2, 3, 4, 5, 6]
    assert [record.headers[0][0] for record in records] == ["a", "b", "c", POISON, "e", POISON, "g"]
    assert [record.value for record in records] == [b"v%d" % n for n in range(7)]


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_positions_are_right_wherever_the_reader_pauses(at_once: int) -> None:
    partition = Partition(batch(0, "a", POISON, "c") + batch(3, POISON) + batch(4, "e"))
    found = [offset for _ in range(5) for offset in offsets(partition.fetch(at_once))]
    assert found == [0, 1, 2, 3, 4]
    assert partition.position == 5


def test_a_reader_that_starts_behind_a_poison_record_gets_the_rest_of_its_batch() -> None:
    assert offsets(Partition(batch(0, POISON, "b", "c"), position=1).fetch()) == [1, 2]


def test_a_damaged_batch_is_fetched_again_before_it_is_given_up() -> None:
    good = batch(1, "b", "c")
    partition = Partition(batch(0, "a") + damaged(good) + batch(3, "d"))
    assert offsets(partition.fetch()) == [0]
    assert offsets(partition.fetch()) == []
    partition.log = batch(0, "a") + good + batch(3, "d")
    assert offsets(partition.fetch()) == [1, 2, 3]


def test_a_batch_that_stays_damaged_comes_out_as_one_record_with_its_bytes(caplog: pytest.LogCaptureFixture) -> None:
    bad = damaged(batch(1, "b", "c"))
    partition = Partition(batch(0, "a") + bad + batch(3, "d"))
    assert [offsets(partition.fetch()) for _ in range(2)] == [[0], []]
    [stand_in, after] = partition.fetch()
    assert (stand_in.offset, stand_in.key, stand_in.value) == (1, None, bad)
    assert stand_in.headers[0][0] == UNREADABLE_HEADER
    assert after.offset == 3
    assert "orders[0]@1 cannot be read: its checksum is wrong" in caplog.text


def test_a_damaged_last_batch_is_passed_one_offset_at_a_time() -> None:
    partition = Partition(damaged(batch(0, "a", "b")))
    found = [offset for _ in range(6) for offset in offsets(partition.fetch())]
    assert found == [0, 1], "its header cannot be trusted to say where it ends"


def test_an_intact_batch_that_cannot_be_read_comes_out_as_one_record() -> None:
    bad = malformed(batch(1, "b", "c"))
    records = Partition(batch(0, "a") + bad + batch(3, "d")).fetch()
    assert offsets(records) == [0, 1, 2, 3]
    assert (records[1].value, records[2].value) == (b"v1", bad)
    assert b"aiokafka" in (records[2].headers[0][1] or b"")


def test_a_poison_record_of_an_aborted_transaction_is_not_read() -> None:
    log = batch(0, POISON, producer_id=9, transactional=True) + abort_marker(1, 9) + batch(2, POISON)
    assert offsets(Partition(log, aborted=((9, 0),)).fetch()) == [2]


def test_a_poison_record_of_a_later_transaction_of_the_same_producer_is_read() -> None:
    log = (
        batch(0, "a", producer_id=9, transactional=True)
        + abort_marker(1, 9)
        + batch(2, POISON, producer_id=9, transactional=True)
    )
    assert offsets(Partition(log, aborted=((9, 0),)).fetch()) == [2]


def test_a_control_batch_that_cannot_be_read_is_passed() -> None:
    marker = abort_marker(1, 9)
    emptied = signed(marker[:57] + struct.pack(">i", 0) + marker[61:])
    log = batch(0, "a", producer_id=9, transactional=True) + emptied + batch(2, "c", producer_id=9, transactional=True)
    assert offsets(Partition(log, aborted=((9, 0),)).fetch()) == [2]


def test_a_cut_batch_is_left_for_the_next_fetch() -> None:
    whole = batch(0, "a") + batch(1, "b")
    partition = Partition(whole[:-1])
    assert offsets(partition.fetch()) == [0]
    partition.log = whole
    assert offsets(partition.fetch()) == [1]
    assert _RecordSet(whole[:5]).size_in_bytes() == 0, "aiokafka would step over the offset"


LIMIT = 3


def limited(start: int, *, by: int = 1) -> Iterator[int]:
    yield from range(start, LIMIT, by)


def test_a_rebound_function_sees_the_new_name_and_the_old_one_does_not() -> None:
    longer = rebound(limited, LIMIT=5)
    assert list(longer(0)) == [0, 1, 2, 3, 4]
    assert list(longer(0, by=2)) == [0, 2, 4]
    assert list(limited(0)) == [0, 1, 2]


def test_rebinding_a_name_that_is_not_used_is_an_error() -> None:
    with pytest.raises(ConfigurationException, match="limited does not use NOWHERE"):
        rebound(limited, NOWHERE=1)
