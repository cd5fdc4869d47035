"""Read and write Kafka record batches where aiokafka cannot.

aiokafka reads header names as strict UTF-8 and raises for a whole fetch when one is not; it writes neither such names
nor a record without both key and value. Kafka itself stores all of these. The layout is that of magic 2:
https://kafka.apache.org/documentation/#recordbatch
"""

import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, cast

from aiokafka.codec import gzip_decode, lz4_decode, snappy_decode, zstd_decode, zstd_encode
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import ConsumerRecord, TopicPartition

from cqrs.messaging.message import Headers, OutgoingMessage

_HEADER = struct.Struct(">qiibIhiqqqhii")
_AFTER_LENGTH = struct.calcsize(">qi")
_CRC_AT = struct.calcsize(">qiib")
_AFTER_CRC = struct.calcsize(">qiibI")
_MAGIC = 2
_CODEC_MASK = 0x07
_LOG_APPEND_TIME_MASK = 0x08
_SURROGATES = "surrogateescape"
_ZSTD = 4
_ZSTD_LEVEL = 9  # above the usual 3: what a producer compressed should seldom come out larger here

_DECOMPRESS: dict[int, Callable[[bytes], bytes]] = {
    0: bytes,
    1: gzip_decode,
    2: snappy_decode,
    3: lz4_decode,
    4: zstd_decode,
}


class MalformedBatchException(ValueError):
    """Report bytes that are not a record batch of magic 2."""


class BatchHeader(NamedTuple):
    """Hold the fixed part of a batch, in the order of the protocol."""

    base_offset: int
    length: int
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    first_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    record_count: int

    @property
    def next_offset(self) -> int:
        """Return the offset behind the batch, also when its last records were compacted away."""
        return self.base_offset + self.last_offset_delta + 1


def split(data: bytes) -> Iterator[bytes]:
    """Yield each whole batch of a fetched record set; a cut one at its end is left out, as the protocol allows."""
    at = 0
    while len(data) - at >= _AFTER_LENGTH:
        (length,) = struct.unpack_from(">i", data, at + 8)
        end = at + _AFTER_LENGTH + length
        if length < 0 or end > len(data):
            return
        yield data[at:end]
        at = end


def read_header(batch: bytes) -> BatchHeader:
    """Read the fixed part of a batch.

    Raises:
        MalformedBatchException: it is too short, or not of magic 2.
    """
    if len(batch) < _HEADER.size:
        raise MalformedBatchException(f"a batch has {_HEADER.size} bytes or more, this one {len(batch)}")
    header = BatchHeader._make(_HEADER.unpack_from(batch))
    if header.magic != _MAGIC:
        raise MalformedBatchException(f"magic {header.magic} where {_MAGIC} is expected")
    return header


def first_offset(data: bytes) -> int:
    """Return the offset at which the first batch of a record set begins, or 0 when there is none."""
    return int.from_bytes(data[:8], "big", signed=True) if len(data) >= _AFTER_LENGTH else 0


def is_intact(batch: bytes) -> bool:
    """Say whether it is a batch of magic 2 whose bytes agree with its checksum."""
    try:
        return bool(read_header(batch).crc == calc_crc32c(batch[_AFTER_CRC:]))
    except MalformedBatchException:
        return False


def read_records(partition: TopicPartition, batch: bytes) -> Iterator[ConsumerRecord[bytes, bytes]]:
    """Yield the records of one batch; bytes of a header's name that are not UTF-8 become lone surrogates.

    Raises:
        MalformedBatchException: the batch cannot be read to its end; what came before has been yielded.
    """
    header = read_header(batch)
    body = _decompressed(header.attributes & _CODEC_MASK, batch[_HEADER.size :])
    reader = _Reader(body)
    for _ in range(header.record_count):
        yield _read_record(partition, header, reader)


def _decompressed(codec: int, body: bytes) -> bytes:
    if codec not in _DECOMPRESS:
        raise MalformedBatchException(f"unknown compression codec {codec}")
    try:
        return bytes(_DECOMPRESS[codec](body))
    except Exception as error:
        # Each codec raises a class of its own for bad input, some of them RuntimeError.
        raise MalformedBatchException(f"codec {codec} cannot decompress it: {error!r}") from error


def _read_record(partition: TopicPartition, header: BatchHeader, reader: "_Reader") -> ConsumerRecord[bytes, bytes]:
    end = reader.varint()
    end += reader.at
    reader.take(1)
    timestamp = header.first_timestamp + reader.varint()
    offset = header.base_offset + reader.varint()
    key, value = reader.nullable(), reader.nullable()
    headers = tuple(_read_headers(reader))
    if reader.at != end:
        raise MalformedBatchException(f"record {offset} ends at byte {reader.at}, its length says {end}")
    appended = bool(header.attributes & _LOG_APPEND_TIME_MASK)
    return ConsumerRecord(
        partition.topic,
        partition.partition,
        offset,
        header.max_timestamp if appended else timestamp,
        int(appended),
        key,
        value,
        None,
        -1 if key is None else len(key),
        -1 if value is None else len(value),
        cast("tuple[tuple[str, bytes], ...]", headers),  # Kafka allows null, which that annotation forgets
    )


def _read_headers(reader: "_Reader") -> Iterator[tuple[str, bytes | None]]:
    for _ in range(reader.varint()):
        name = reader.take(reader.varint())
        yield name.decode("utf-8", _SURROGATES), reader.nullable()


@dataclass(slots=True)
class _Reader:
    """Read a record's primitive types from front to back, never past the end."""

    data: bytes
    at: int = 0

    def varint(self) -> int:
        """Read a zigzag-encoded number of at most 64 bits."""
        result = shift = 0
        while shift < 70:
            byte = self.take(1)[0]
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (result >> 1) ^ -(result & 1)
            shift += 7
        raise MalformedBatchException(f"a number at byte {self.at} has more than 64 bits")

    def take(self, size: int) -> bytes:
        """Read `size` bytes."""
        end = self.at + size
        if size < 0 or end > len(self.data):
            raise MalformedBatchException(f"{size} bytes wanted at byte {self.at}, {len(self.data) - self.at} are left")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def nullable(self) -> bytes | None:
        """Read bytes that may be null."""
        size = self.varint()
        return None if size == -1 else self.take(size)


class SingleRecordBatch(BatchBuilder):  # type: ignore[misc]  # aiokafka is untyped
    """Be a batch of exactly one record, with what aiokafka's own builder refuses.

    That is: no key and no value, and header names that hold lone surrogates in place of bytes that are not UTF-8.

    Args:
        message: What to write.
        compress: Whether to write it with zstd, when that makes it smaller.

    Raises:
        UnicodeEncodeError: a header's name holds a surrogate that stands for no byte.
    """

    def __init__(self, message: OutgoingMessage, *, compress: bool = False) -> None:
        super().__init__(batch_size=1, compression_type=0)
        self._timestamp = int(time.time() * 1000)
        self._codec, self._record = 0, encode_record(message.key, message.value, message.headers)
        if compress:
            self._codec, self._record = _compressed(self._record)
        self._producer = (-1, -1, -1)
        self._relative_offset = 1
        self._closed = True
        self._buffer: bytearray | None = None

    def size(self) -> int:
        """Return the size of the batch in bytes."""
        return _HEADER.size + len(self._record)

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._producer = (producer_id, producer_epoch, base_sequence)
        self._buffer = None

    def _build(self) -> bytearray:
        if self._buffer is None:
            stamps = (self._timestamp, self._timestamp, *self._producer)
            self._buffer = bytearray(encode_batch(self._record, *stamps, codec=self._codec))
        return self._buffer


def _compressed(record: bytes) -> tuple[int, bytes]:
    """Return the codec and what it makes of `record`, or the record itself when it is no larger."""
    smaller = zstd_encode(record, _ZSTD_LEVEL)
    return (_ZSTD, smaller) if len(smaller) < len(record) else (0, record)


def encode_batch(
    record: bytes,
    first_timestamp: int,
    max_timestamp: int,
    producer_id: int,
    producer_epoch: int,
    base_sequence: int,
    *,
    codec: int = 0,
) -> bytes:
    """Return a batch of one encoded record, which `codec` has compressed."""
    length = _HEADER.size - _AFTER_LENGTH + len(record)
    stamps = (first_timestamp, max_timestamp, producer_id, producer_epoch, base_sequence)
    unsigned = _HEADER.pack(0, length, -1, _MAGIC, 0, codec, 0, *stamps, 1) + record
    crc = struct.pack(">I", calc_crc32c(unsigned[_AFTER_CRC:]))
    return unsigned[:_CRC_AT] + crc + unsigned[_AFTER_CRC:]


def encode_record(key: bytes | None, value: bytes | None, headers: Headers) -> bytes:
    """Return one record, the first of its batch, with its length in front."""
    parts = [b"\x00\x00\x00", _nullable(key), _nullable(value), _varint(len(headers))]
    for name, content in headers:
        encoded = name.encode("utf-8", _SURROGATES)
        parts += [_varint(len(encoded)), encoded, _nullable(content)]
    return b"".join([_varint(sum(map(len, parts))), *parts])


def _nullable(data: bytes | None) -> bytes:
    return _varint(-1) if data is None else _varint(len(data)) + data


def _varint(number: int) -> bytes:
    rest = (number << 1) ^ (number >> 63)
    out = bytearray()
    while rest > 0x7F:
        out.append(0x80 | (rest & 0x7F))
        rest >>= 7
    out.append(rest)
    return bytes(out)
