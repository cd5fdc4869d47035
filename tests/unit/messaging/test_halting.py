"""A key that is halted stays so, with its later records behind it, until the last redriven one is done."""

import pytest

from cqrs.messaging.commit_note import MOST_HALTED, MOST_STOPPED, key_digest
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


def redriven(seen: int, first: int = 7, *, releases: bool = False) -> Message:
    """Return a record that lay at `first`, sent back by a redrive that had looked up to `seen`."""
    origin = (("kafka_dlt-original-offset", first.to_bytes(8, "big")), ("cqrs-redrive-seen", b"%d" % seen))
    return record(headers=(*(LAST if releases else REDRIVEN), *origin))


def given_up(letter: int | None = None) -> Outcome:
    """Return how a record ends that halts its key, and where its dead letter lies."""
    return Outcome("dead_lettered", "c-dlt", HALTS, letter)


def holds(keys: HaltedKeys, message: Message) -> bool:
    return keys.beside(message).holds(message)


def halts(keys: HaltedKeys, message: Message) -> None:
    keys.beside(message).halt(message)


class World:
    def __init__(self) -> None:
        self.keys = HaltedKeys()
        self.seen: list[Delivery] = []
        self.letter: int | None = None

    async def settle(self, message: Message, outcome: Outcome | Exception = HANDLED) -> Outcome:
        async def handler(delivery: Delivery) -> Outcome:
            self.seen.append(delivery)
            if delivery.refusal is not None:
                return Outcome("dead_lettered", "c-dlt", delivery.refusal, self.letter)
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
    await world.settle(redriven(seen=3, releases=True), given_up(3))
    assert holds(world.keys, record()), "it failed again"
    with pytest.raises(TryAgainException):
        await world.settle(redriven(seen=4, releases=True), TryAgainException(1.0, ValueError("later")))
    assert holds(world.keys, record())
    assert await world.settle(redriven(seen=4, releases=True)) is HANDLED
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
        return given_up(9)

    again = redriven(seen=5)
    await halt(world.keys)(halted_elsewhere_meanwhile)(Delivery(again, read_envelope(again)))
    assert await world.settle(redriven(seen=5, first=30, releases=True)) is HANDLED
    assert not holds(world.keys, record())


@pytest.mark.asyncio
async def test_a_redriven_record_that_failed_again_in_an_earlier_assignment_refuses_none_in_a_later_one() -> None:
    world, place = World(), TopicPartition("c", 0)
    world.keys.assign(place, {key_digest(b"k")})
    await world.settle(redriven(seen=5), given_up(9))
    world.keys.assign(place, {key_digest(b"k")})  # and no revocation before it
    assert await world.settle(redriven(seen=5, first=30)) is HANDLED


@pytest.mark.asyncio
async def test_what_is_left_of_a_key_runs_when_the_letter_that_halted_it_was_discarded() -> None:
    world = World()
    await world.settle(record(), given_up(0))
    assert await world.settle(redriven(seen=3, first=8)) is HANDLED
    assert await world.settle(redriven(seen=3, first=9, releases=True)) is HANDLED
    assert await world.settle(record()) is HANDLED


@pytest.mark.asyncio
async def test_behind_a_redriven_record_that_failed_again_none_runs_until_a_redrive_has_seen_its_letter() -> None:
    world = World()
    await world.settle(record(), given_up(0))
    await world.settle(redriven(seen=3), given_up(3))
    for unaware in (redriven(seen=3, first=8), redriven(seen=2, first=9, releases=True), record(headers=LAST)):
        refused = await world.settle(unaware)
        assert isinstance(refused.error, KeyHaltedException)
    assert holds(world.keys, record())
    assert await world.settle(redriven(seen=6, first=8)) is HANDLED, "the one that failed again was discarded"
    assert await world.settle(redriven(seen=6, first=9, releases=True)) is HANDLED
    assert not holds(world.keys, record())


@pytest.mark.asyncio
async def test_a_redrive_that_was_sent_before_one_came_back_unrun_does_not_run_before_it() -> None:
    world = World()
    await world.settle(record(), given_up(0))
    await world.settle(redriven(seen=3), given_up(3))
    world.letter = 6
    await world.settle(redriven(seen=3, first=8))
    unaware = redriven(seen=5, first=9)
    assert isinstance((await world.settle(unaware)).error, KeyHaltedException), (
        "it saw that the first one failed, alone"
    )
    world.letter = 8
    await world.settle(record())
    assert await world.settle(redriven(seen=7, first=8)) is HANDLED, "what came new lies behind it"


@pytest.mark.asyncio
async def test_when_nobody_knows_where_the_letter_of_one_that_failed_again_lies_its_own_redrive_stops() -> None:
    world = World()
    await world.settle(redriven(seen=3), given_up(None))
    assert isinstance((await world.settle(redriven(seen=3, first=8))).error, KeyHaltedException)
    assert await world.settle(redriven(seen=4, first=8)) is HANDLED


@pytest.mark.asyncio
async def test_past_the_limit_a_redriven_record_that_failed_again_stops_what_its_redrive_sent_of_every_key() -> None:
    world, place = World(), TopicPartition("c", 0)
    keys = [str(number).encode() for number in range(MOST_STOPPED + 3)]
    for number, key in enumerate(keys):
        await world.settle(redriven(seen=3)._replace(key=key), given_up(10 + number))
    assert len(world.keys.stopped(place)) == MOST_STOPPED

    unaware, aware = redriven(seen=40, first=8), redriven(seen=50, first=8)
    assert isinstance((await world.settle(unaware._replace(key=keys[-1]))).error, KeyHaltedException)
    for key in keys:
        assert await world.settle(aware._replace(key=key)) is HANDLED
        world.keys.beside(aware).release(aware._replace(key=key))
    assert world.keys.stopped(place) == {}


def test_what_stopped_a_key_that_is_halted_no_longer_is_forgotten() -> None:
    keys, place = HaltedKeys(), TopicPartition("c", 0)
    keys.assign(place, (), {key_digest(b"k"): 9})
    assert keys.stopped(place) == {}
    assert keys.stopped(TopicPartition("c", 1)) == {}


@pytest.mark.asyncio
async def test_a_dead_letter_topic_that_was_made_anew_holds_no_key_for_ever() -> None:
    world = World()
    await world.settle(redriven(seen=3_000), given_up(3_000))
    world.letter = 0
    assert isinstance((await world.settle(record())).error, KeyHaltedException)
    assert await world.settle(redriven(seen=1, first=30)) is HANDLED


@pytest.mark.asyncio
async def test_a_redriven_record_that_does_not_say_what_was_seen_runs_as_long_as_none_failed_again() -> None:
    for value in (b"x", None, b"", b"-1", b"9" * 20):
        said = (("cqrs-redrive-seen", value),)
        world = World()
        await world.settle(record(), given_up(0))
        assert await world.settle(record(headers=(*REDRIVEN, *said))) is HANDLED
        await world.settle(record(headers=(*REDRIVEN, *said)), given_up(1))
        assert isinstance((await world.settle(record(headers=(*LAST, *said)))).error, KeyHaltedException)


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome("dead_lettered", "c-dlt", ValueError("refused"), 5),
        Outcome("dead_lettered", "c-dlt", SKIPS, 5),
        Outcome("skipped", error=ValueError("no use")),
        Outcome("retried_later", "c-retry-5000", TimeoutError("x")),
    ],
    ids=["refused", "given up alone", "skipped", "in a retry topic"],
)
@pytest.mark.asyncio
async def test_a_redriven_record_that_ends_without_halting_lets_those_behind_it_run(outcome: Outcome) -> None:
    world = World()
    await world.settle(record(), given_up(0))
    await world.settle(redriven(seen=3), given_up(3))
    await world.settle(redriven(seen=4), outcome)
    assert await world.settle(redriven(seen=4, first=8)) is HANDLED
    assert await world.settle(redriven(seen=3, first=9)) is HANDLED, "nothing of its key waits for another redrive"
    await world.settle(redriven(seen=4, first=10, releases=True), outcome)
    assert await world.settle(record()) is HANDLED
