"""What stands in a group's commit beside the offset: what is finished above it, and which keys are halted.

The text is `cqrs1:` and base85 (RFC 1924) of a CRC-32 and a body. The checksum covers the offset too, so a note says
nothing beside another offset: where a tool copied it, or somebody moved the group, other records stand there.

The body is two bytes (twice the number of digests, plus 1 when the ranges are deflated), the digests, and the ranges.
Each is two varints: how far it begins above the lowest offset at which it could, and its length less 1. The first could
begin at the note's offset, any other one after an offset that is in neither: else the two would be one. A varint holds
7 bits a byte, the lowest first, as in Protocol Buffers; deflated is RFC 1951 without a header.

Where redriven records failed again, 32,768 is added to the first two bytes, and between digests and ranges stand a byte
that counts the keys of these records, and for each of the keys its digest and the offset of the dead letter, 8 bytes.
"""

import zlib
from base64 import b85decode, b85encode
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

LIMIT_BYTES = 4000
"""The longest note; brokers refuse more than `offset.metadata.max.bytes`, 4,096 unless told otherwise."""

MOST_HALTED = 256
"""The most keys that a note can hold: they leave room for the ranges of thousands of records."""

MOST_STOPPED = 32
"""The most keys of which a note can hold where the letter of a redriven record lies that failed again."""

DIGEST_BYTES = 8
"""The length of a key's digest."""

_PREFIX = "cqrs1:"
_CHECKSUM_BYTES = 4
_HEAD_BYTES = 2
_STOPPED_FOLLOW = 0x8000
_OFFSET_BYTES = 8
_STOPPED_BYTES = DIGEST_BYTES + _OFFSET_BYTES
_ROOM = (LIMIT_BYTES - len(_PREFIX)) * 4 // 5 - _CHECKSUM_BYTES - _HEAD_BYTES
_LARGEST_RANGES = 65_536  # bytes of ranges before they are deflated: bounds what a hostile note can make of itself
_LAST_STOP = 2**63 - 1
_VARINT_BITS = 63


@dataclass(frozen=True, slots=True)
class CommitNote:
    """Say what the offset alone does not.

    Attributes:
        finished: What is finished at or above the offset: ascending ranges that neither overlap nor touch.
        halted: Digests of the keys that are halted, as `key_digest` makes them.
        stopped: Where the dead letters lie of redriven records that failed again, by the digests of their keys.
    """

    finished: tuple[range, ...] = ()
    halted: frozenset[bytes] = frozenset()
    stopped: Mapping[bytes, int] = field(default_factory=dict)


def write_note(position: int, note: CommitNote) -> str:
    """Return `note` as ASCII text of at most `LIMIT_BYTES`, to be committed beside the offset `position`.

    An empty note is the empty text. Ranges that do not fit are dropped, the highest first: their records may be run
    again, and nothing is lost. Digests are never dropped.

    Raises:
        ValueError: there are more than `MOST_HALTED` digests, or more than `MOST_STOPPED` keys are stopped, a digest is
            not 8 bytes long, or the ranges are not ascending, apart, of step 1, at or above `position` and below 2**63.
    """
    if note == CommitNote():
        return ""
    digests, stopped = _digests(note.halted), _stopped(note.stopped)
    ranges, is_deflated = _fitting(*_encoded(position, note.finished), _ROOM - len(digests) - len(stopped))
    head = 2 * len(note.halted) + is_deflated + (_STOPPED_FOLLOW if stopped else 0)
    body = head.to_bytes(_HEAD_BYTES, "big") + digests + stopped + ranges
    return _PREFIX + b85encode(_checksum(position, body) + body).decode("ascii")


def read_note(position: int, text: str) -> CommitNote:
    """Return the note that stands beside the committed offset `position`.

    Whatever is no note of ours for this offset, or is damaged, is an empty one: records are run again then. Takes
    bounded memory, whatever the text is.
    """
    if not text.startswith(_PREFIX) or len(text) > LIMIT_BYTES:
        return CommitNote()
    try:
        return _decoded(position, b85decode(text.removeprefix(_PREFIX)))
    except (ValueError, zlib.error):
        return CommitNote()


def key_digest(key: bytes | None) -> bytes:
    """Return 8 bytes that stand for a record's key: BLAKE2b (RFC 7693), the same in every process."""
    if key is None:
        return blake2b(digest_size=DIGEST_BYTES, person=b"cqrs no key").digest()
    return blake2b(key, digest_size=DIGEST_BYTES).digest()


def _digests(halted: frozenset[bytes]) -> bytes:
    if len(halted) > MOST_HALTED:
        raise ValueError(f"{len(halted)} keys are halted; a note holds {MOST_HALTED}: halt the whole partition instead")
    return b"".join(sorted(map(_whole, halted)))


def _stopped(stopped: Mapping[bytes, int]) -> bytes:
    if len(stopped) > MOST_STOPPED:
        raise ValueError(
            f"{len(stopped)} keys are stopped; a note holds {MOST_STOPPED}: stop the whole partition instead"
        )
    if any(not 0 <= each <= _LAST_STOP for each in stopped.values()):
        raise ValueError(f"{sorted(stopped.values())}: one is no offset of a dead letter")
    entries = [_whole(each) + stopped[each].to_bytes(_OFFSET_BYTES, "big") for each in sorted(stopped)]
    return bytes([len(entries)]) + b"".join(entries) if entries else b""


def _whole(digest: bytes) -> bytes:
    if len(digest) != DIGEST_BYTES:
        raise ValueError(f"a key is noted by {DIGEST_BYTES} bytes; make them with key_digest()")
    return digest


def _encoded(position: int, ranges: tuple[range, ...]) -> tuple[bytes, list[int]]:
    """Return the ranges as bytes, and where each of them ends there."""
    body, ends, least = bytearray(), [], position
    for each in ranges:
        if each.step != 1 or not least <= each.start < each.stop <= _LAST_STOP:
            raise ValueError(f"{each} is no range of offsets from {least} on; give them ascending and apart")
        _append_varint(body, each.start - least)
        _append_varint(body, each.stop - each.start - 1)
        ends.append(len(body))
        least = each.stop + 1
    return bytes(body), ends


def _fitting(body: bytes, ends: list[int], room: int) -> tuple[bytes, bool]:
    """Return as many of the encoded ranges as fit, the lowest first, and whether they are deflated."""
    low, high = 0, bisect_right(ends, _LARGEST_RANGES)
    best, count = (b"", False), high
    while low < high:
        packed = _packed(body[: ends[count - 1]])
        if len(packed[0]) <= room:
            low, best = count, packed
        else:
            high = count - 1
        count = (low + high + 1) // 2
    return best


def _packed(body: bytes) -> tuple[bytes, bool]:
    # Run lengths and Huffman codes come near the entropy of records that finish at random, and take 60 us for 10,000
    # offsets; looking for repetitions takes six times as long for more bytes.
    deflating = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, 9, zlib.Z_RLE)
    deflated = deflating.compress(body) + deflating.flush()
    return (deflated, True) if len(deflated) < len(body) else (body, False)


def _decoded(position: int, data: bytes) -> CommitNote:
    checksum, body = data[:_CHECKSUM_BYTES], data[_CHECKSUM_BYTES:]
    if checksum != _checksum(position, body):
        raise ValueError("it is damaged, or stood beside another offset")
    head = int.from_bytes(body[:_HEAD_BYTES], "big")
    count, is_deflated = divmod(head & ~_STOPPED_FOLLOW, 2)
    end = _HEAD_BYTES + count * DIGEST_BYTES
    if count > MOST_HALTED or end > len(body):
        raise ValueError("its digests are not there")
    halted = frozenset(body[at : at + DIGEST_BYTES] for at in range(_HEAD_BYTES, end, DIGEST_BYTES))
    stopped, rest = _read_stopped(body[end:]) if head & _STOPPED_FOLLOW else ({}, body[end:])
    return CommitNote(_ranges(position, _inflated(rest) if is_deflated else rest), halted, stopped)


def _read_stopped(data: bytes) -> tuple[dict[bytes, int], bytes]:
    """Return what stopped keys, and what stands behind it."""
    end = 1 + int.from_bytes(data[:1], "big") * _STOPPED_BYTES
    if end > min(len(data), 1 + MOST_STOPPED * _STOPPED_BYTES):
        raise ValueError("its dead letters are not there")
    entries = [data[at : at + _STOPPED_BYTES] for at in range(1, end, _STOPPED_BYTES)]
    found = {each[:DIGEST_BYTES]: int.from_bytes(each[DIGEST_BYTES:], "big") for each in entries}
    if any(each > _LAST_STOP for each in found.values()):
        raise ValueError("a dead letter of it lies above every offset")
    return found, data[end:]


def _inflated(deflated: bytes) -> bytes:
    inflating = zlib.decompressobj(-zlib.MAX_WBITS)
    body = inflating.decompress(deflated, _LARGEST_RANGES + 1)  # one more, to come to the end of the largest
    if not inflating.eof or inflating.unused_data:
        raise ValueError("its ranges are cut, or too many")
    return body


def _ranges(position: int, body: bytes) -> tuple[range, ...]:
    found: list[range] = []
    least = position
    numbers = _varints(body)
    for skipped, length in zip(numbers, numbers, strict=True):
        start = least + skipped
        stop = start + length + 1
        if stop > _LAST_STOP:
            raise ValueError("its ranges lie above every offset")
        found.append(range(start, stop))
        least = stop + 1
    return tuple(found)


def _checksum(position: int, body: bytes) -> bytes:
    return zlib.crc32(body, zlib.crc32(b"%d" % position)).to_bytes(_CHECKSUM_BYTES, "big")


def _append_varint(body: bytearray, number: int) -> None:
    while number >= 128:
        body.append(number & 127 | 128)
        number >>= 7
    body.append(number)


def _varints(data: bytes) -> Iterator[int]:
    number = bits = 0
    for digit in data:
        number |= (digit & 127) << bits
        if digit < 128:
            yield number
            number = bits = 0
        elif (bits := bits + 7) >= _VARINT_BITS:
            raise ValueError("a number is too large")
    if bits:
        raise ValueError("a number is cut")
