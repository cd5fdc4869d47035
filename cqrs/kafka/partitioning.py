"""Choose the partition of a key as Kafka's own clients do, and fast."""

import struct
from functools import lru_cache

_SEED = 0x9747B28C
_MULTIPLIER = 0x5BD1E995
_32_BITS = 0xFFFFFFFF
_31_BITS = 0x7FFFFFFF
_REMEMBERED_KEYS = 32 * 1024
_LONGEST_REMEMBERED_KEY = 256


def partition_index(key: bytes | bytearray | memoryview, partitions: int) -> int:
    """Return which of so many partitions the key belongs to: the same as with Java's and aiokafka's default.

    What is remembered of a key is its hash, so another topic or another number of partitions needs no other memory.
    """
    raw = bytes(key)  # of bytes it makes no copy
    hashed = _remembered_hash(raw) if len(raw) <= _LONGEST_REMEMBERED_KEY else murmur2(raw)
    return (hashed & _31_BITS) % partitions


def murmur2(data: bytes) -> int:
    """Return the 32-bit MurmurHash2 of `data` with Kafka's seed.

    Source: `org.apache.kafka.common.utils.Utils.murmur2`.
    """
    length = len(data)
    hashed = _SEED ^ length
    for word in struct.unpack_from(f"<{length // 4}I", data):
        mixed = word * _MULTIPLIER & _32_BITS
        mixed = (mixed ^ mixed >> 24) * _MULTIPLIER & _32_BITS
        hashed = hashed * _MULTIPLIER & _32_BITS ^ mixed
    if length % 4:
        rest = int.from_bytes(data[length & ~3 :], "little")
        hashed = (hashed ^ rest) * _MULTIPLIER & _32_BITS
    hashed = (hashed ^ hashed >> 13) * _MULTIPLIER & _32_BITS
    return hashed ^ hashed >> 15


_remembered_hash = lru_cache(_REMEMBERED_KEYS)(murmur2)
