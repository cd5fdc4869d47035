"""A key that is halted stays so, with its later records behind it, until the last redriven one is handled."""

import pytest

from cqrs.messaging.commit_note import MOST_HALTED, key_digest
from cqrs.messaging.delivery import HANDLED, Delivery, Outcome, TryAgainException
from cqrs.messaging.envelope import read_envelope
from cqrs.messaging.halting import HaltedKeys, KeyHaltedException, halt
from cqrs.messaging.message import Headers, Message, TopicPartition
from cqrs.messaging.retry import RetriesExhaustedException, RetryPolicy

REDRIVEN = (("cqrs-redrive-count", b"1"),)
LAST = (*REDRIVEN, ("cqrs-redrive-release", b"1"))
HALTS = RetriesExhaustedException(TimeoutError("x"), 3, RetryPolicy(3, 60.0, "halt_key"))
SKIPS = RetriesExhaustedException(TimeoutError("x"), 3, RetryPolicy(3, 60.0, "skip"))


def record(key: bytes | None = b"k", headers: Headers = (), partition: int = 0) -> Message:
    return Message("c", partition, 7, key, b"v", headers)


def holds(keys: HaltedKeys, message: Message) -> bool:
    return keys.beside(message).holds(message)


def halts(keys: HaltedKeys, message: Message) -> None:
    keys.beside(message).halt(message)


class World:
    def __init__(self) -> None:
        self.keys = HaltedKeys()
        self.seen: list[Delivery] = []

    async def settle(self, message: Message, outcome: Outcome | Exception = HANDLED) -> Outcome:
        async def handler(delivery: Delivery) -> Outcome:
            self.seen.append(delivery)
            if delivery.refusal is not None:
                return Outcome("dead_lettered", "c-dlt", delivery.refusal)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        return await halt(self.keys)(handler)(Delivery(message, read_envelope(message)))


@pytest.mark.asyncio
async def test_a_key_halts_when_its_retries_are_exhausted_and_its_policy_says_so() -> None:
    world = World()
    await world.settle(record(b"a"), Outcome("dead_lettered", "c-dlt", SKIPS))
    await world.settle(record(b"b"), Outcome("dead_lettered", "c-dlt", ValueError("refused")))
    assert not holds(world.keys, record(b"a"))
    assert not holds(world.keys, record(b"b"))
    await world.settle(record(b"k"), Outcome("dead_lettered", "c-dlt", HALTS))
    assert holds(world.keys, record(b"k"))
    assert not holds(world.keys, record(b"k", partition=1))


@pytest.mark.asyncio
async def test_later_records_follow_without_being_run_and_other_keys_go_on() -> None:
    world = World()
    halts(world.keys, record())
    followed = await world.settle(record())
    assert isinstance(followed.error, KeyHaltedException)
    assert followed.error.halts == "follower"
    assert await world.settle(record(b"other")) is HANDLED


@pytest.mark.asyncio
async def test_redriven_records_run_and_the_last_one_releases_the_key() -> None:
    world = World()
    halts(world.keys, record())
    assert await world.settle(record(headers=REDRIVEN)) is HANDLED
    assert holds(world.keys, record()), "more of them are on their way"
    await world.settle(record(headers=LAST), Outcome("dead_lettered", "c-dlt", ValueError("again")))
    assert holds(world.keys, record()), "it failed again"
    with pytest.raises(TryAgainException):
        await world.settle(record(headers=LAST), TryAgainException(1.0, ValueError("later")))
    assert holds(world.keys, record())
    assert await world.settle(record(headers=LAST)) is HANDLED
    assert not holds(world.keys, record())


@pytest.mark.asyncio
async def test_records_without_a_key_are_one_key() -> None:
    world = World()
    halts(world.keys, record(None))
    assert holds(world.keys, record(None))
    assert not holds(world.keys, record(b""))


@pytest.mark.asyncio
async def test_past_the_limit_the_whole_partition_is_halted_until_the_last_of_them_is_released() -> None:
    world = World()
    keys = [str(number).encode() for number in range(MOST_HALTED)]
    for key in keys:
        halts(world.keys, record(key))
    assert len(world.keys.of(TopicPartition("c", 0))) <= MOST_HALTED
    assert holds(world.keys, record(b"never seen"))
    for key in keys:
        world.keys.beside(record(key)).release(record(key))
    assert not holds(world.keys, record(b"never seen"))
    assert world.keys.of(TopicPartition("c", 0)) == frozenset()


def test_what_the_last_owner_noted_is_taken_over_and_forgotten_with_the_partition() -> None:
    first, second = HaltedKeys(), HaltedKeys()
    halts(first, record())
    second.assign(TopicPartition("c", 0), first.of(TopicPartition("c", 0)))
    assert holds(second, record())
    second.revoke(TopicPartition("c", 0))
    assert not holds(second, record())


@pytest.mark.asyncio
async def test_the_late_end_of_an_earlier_assignment_halts_nothing_in_a_later_one() -> None:
    world, place = World(), TopicPartition("c", 0)
    world.keys.assign(place, ())

    async def reassigned_meanwhile(_: Delivery) -> Outcome:
        world.keys.revoke(place)
        world.keys.assign(place, ())
        return Outcome("dead_lettered", "c-dlt", HALTS)

    await halt(world.keys)(reassigned_meanwhile)(Delivery(record(), read_envelope(record())))
    assert not holds(world.keys, record())


@pytest.mark.asyncio
async def test_the_late_end_of_an_earlier_assignment_refuses_no_redriven_record_of_a_later_one() -> None:
    world, place = World(), TopicPartition("c", 0)
    world.keys.assign(place, ())

    async def halted_elsewhere_meanwhile(_: Delivery) -> Outcome:
        world.keys.revoke(place)
        world.keys.assign(place, {key_digest(b"k")})
        return Outcome("dead_lettered", "c-dlt", HALTS)

    again = record(headers=REDRIVEN)
    await halt(world.keys)(halted_elsewhere_meanwhile)(Delivery(again, read_envelope(again)))
    behind = record(headers=(*LAST, ("kafka_dlt-original-offset", (30).to_bytes(8, "big"))))
    assert await world.settle(behind) is HANDLED
    assert not holds(world.keys, record())


@pytest.mark.asyncio
async def test_a_redriven_record_that_failed_again_in_an_earlier_assignment_refuses_none_in_a_later_one() -> None:
    world, place = World(), TopicPartition("c", 0)
    world.keys.assign(place, {key_digest(b"k")})
    await world.settle(record(headers=REDRIVEN), Outcome("dead_lettered", "c-dlt", HALTS))
    world.keys.assign(place, {key_digest(b"k")})  # and no revocation before it
    behind = record(headers=(*LAST, ("kafka_dlt-original-offset", (30).to_bytes(8, "big"))))
    assert await world.settle(behind) is HANDLED
