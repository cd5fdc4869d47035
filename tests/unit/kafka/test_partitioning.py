import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as aiokafka_murmur2
from hypothesis import given
from hypothesis import strategies as st

from cqrs.kafka import partitioning
from cqrs.kafka.partitioning import murmur2, partition_index

keys = st.binary(max_size=60)


@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_hash_is_that_of_kafka_s_own_test(key: bytes, hashed: int) -> None:
    assert murmur2(key) == hashed & 0xFFFFFFFF


@given(keys)
def test_the_hash_is_that_of_aiokafka(key: bytes) -> None:
    assert murmur2(key) == aiokafka_murmur2(key)


@given(keys | st.binary(min_size=250, max_size=300), st.integers(1, 50), st.integers(1, 50))
def test_the_partition_is_that_of_aiokafka_whatever_their_number_was_before(
    key: bytes, before: int, after: int
) -> None:
    choose = DefaultPartitioner()
    for count in (before, after, before):
        assert partition_index(key, count) == choose(key, list(range(count)), [])


def test_a_key_that_is_no_bytes_but_holds_them_is_the_same_key() -> None:
    assert partition_index(bytearray(b"key"), 7) == partition_index(memoryview(b"key"), 7) == partition_index(b"key", 7)


def test_keys_are_remembered_within_a_limit_and_long_ones_not_at_all() -> None:
    partitioning._remembered_hash.cache_clear()
    for number in range(partitioning._REMEMBERED_KEYS + 10):
        partition_index(b"%d" % number, 3)
    assert partitioning._remembered_hash.cache_info().currsize == partitioning._REMEMBERED_KEYS
    partitioning._remembered_hash.cache_clear()
    partition_index(b"k" * (partitioning._LONGEST_REMEMBERED_KEY + 1), 3)
    assert partitioning._remembered_hash.cache_info().currsize == 0
