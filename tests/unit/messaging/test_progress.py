"""Nothing is committed over unfinished work, and only the present assignment has a say: checked against a model."""

from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cqrs.messaging.halting import HaltedKeys
from cqrs.messaging.lanes import AssignedPartition, Lane, LaneState
from cqrs.messaging.message import Message, Position, TopicPartition
from cqrs.messaging.progress import Progress

P0, P1 = TopicPartition("t", 0), TopicPartition("t", 1)


def record(offset: int, key: bytes | None = None, partition: int = 0) -> Message:
    return Message("t", partition, offset, key, b"12345")


def assigned(progress: Progress, partition: int = 0) -> AssignedPartition:
    found = progress.of(record(0, partition=partition))
    assert found is not None
    return found


def take_up(partition: AssignedPartition, *messages: Message) -> list[Lane]:
    return [lane for message in messages if (lane := partition.add(message)) is not None]


def finish(partition: AssignedPartition, lane: Lane) -> None:
    assert partition.start(lane) is not None
    partition.finish(lane)


def positions(progress: Progress) -> dict[TopicPartition, int]:
    return {each.place: position.offset for each, position in progress.uncommitted().items()}


def holds(progress: Progress, message: Message) -> bool:
    return progress.halted.beside(message).holds(message)


def begun(*places: TopicPartition) -> Progress:
    progress = Progress()
    progress.assign(dict.fromkeys(places))
    return progress


def test_nothing_is_committable_before_something_is_done() -> None:
    progress = begun(P0)
    take_up(assigned(progress), record(0), record(1))
    assert positions(progress) == {}


def test_the_lowest_unfinished_offset_is_committable_and_never_the_highest_finished() -> None:
    progress = begun(P0)
    lanes = take_up(assigned(progress), record(0, b"a"), record(1, b"b"), record(2, b"c"))
    finish(assigned(progress), lanes[2])
    assert positions(progress) == {P0: 0}
    finish(assigned(progress), lanes[0])
    assert positions(progress) == {P0: 1}
    finish(assigned(progress), lanes[1])
    assert positions(progress) == {P0: 3}


def test_what_is_done_above_travels_with_the_commit_and_is_not_taken_up_again() -> None:
    progress = begun(P0)
    lanes = take_up(assigned(progress), *(record(offset, bytes([offset])) for offset in range(4)))
    for lane in lanes[1:3]:
        finish(assigned(progress), lane)
    [(_, position)] = progress.uncommitted().items()

    successor = Progress()
    successor.assign({P0: position})
    taken = take_up(assigned(successor), *(record(offset, bytes([offset])) for offset in range(4)))
    assert [lane.entries[0].message.offset for lane in taken] == [0, 3]
    finish(assigned(successor), taken[0])
    assert positions(successor) == {P0: 3}


def test_a_completion_of_an_earlier_epoch_is_dropped() -> None:
    progress = begun(P0)
    old = assigned(progress)
    [lane] = take_up(old, record(0))
    old.start(lane)
    progress.revoke({P0})
    progress.assign({P0: None})
    old.finish(lane)
    assert positions(progress) == {}
    assert assigned(progress).epoch > old.epoch
    take_up(assigned(progress), record(0))
    assert assigned(progress).watermark.unfinished == 1, "the new owner has to do it itself"


def test_what_was_taken_away_is_neither_committed_nor_taken_up() -> None:
    progress = begun(P0)
    old = assigned(progress)
    [lane] = take_up(old, record(0))
    progress.revoke({P0})
    finish(old, lane)
    assert positions(progress) == {}
    assert progress.of(record(1)) is None


def test_an_assignment_without_a_revocation_before_it_is_a_new_epoch_too() -> None:
    progress = begun(P0)
    old = assigned(progress)
    take_up(old, record(0))
    progress.assign({P0: Position(5)})
    assert assigned(progress) is not old
    assert take_up(assigned(progress), record(5)) != []


def test_a_fence_keeps_what_lies_below_the_highest_started_and_lets_go_of_the_rest() -> None:
    partition = assigned(begun(P0))
    lane_a, lane_b = take_up(partition, record(0, b"a"), record(1, b"a"), record(2, b"b"), record(3, b"a"))
    partition.start(lane_b)
    partition.fence()
    assert [entry.message.offset for entry in lane_a.entries] == [0, 1]
    assert [entry.message.offset for entry in lane_b.entries] == [2]
    assert take_up(partition, record(4, b"c")) == [], "what is read now is left to the next owner"
    assert len(partition.lanes) == 2
    finish(partition, lane_a)
    finish(partition, lane_a)
    finish(partition, lane_b)
    assert partition.is_at_rest
    assert partition.watermark.position == 3


def test_a_fence_lets_go_of_a_lane_that_waits_whatever_its_offset() -> None:
    partition = assigned(begun(P0))
    lane_a, lane_b = take_up(partition, record(0, b"a"), record(1, b"b"))
    partition.start(lane_a)
    lane_a.state = LaneState.WAITING
    finish(partition, lane_b)
    partition.fence()
    assert partition.is_at_rest
    assert partition.watermark.position == 0


def test_the_buffer_is_counted_in_records_and_bytes() -> None:
    partition = assigned(begun(P0))
    lanes = take_up(partition, record(0, b"a"), record(1, b"a"), record(2, b"b"))
    assert (partition.buffered, partition.buffered_bytes) == (3, 18)
    finish(partition, lanes[0])
    assert (partition.buffered, partition.buffered_bytes) == (2, 12)
    partition.abandon(lanes[0])
    assert (partition.buffered, partition.buffered_bytes) == (1, 6)
    partition.fence()
    assert (partition.buffered, partition.buffered_bytes) == (0, 0)


def test_headers_count_as_much_as_values() -> None:
    partition = assigned(begun(P0))
    partition.add(Message("t", 0, 0, b"key", None, (("name", b"12345"), ("null", None))))
    assert partition.buffered_bytes == 3 + 4 + 5 + 4


def test_an_emptied_lane_is_not_taken_in_hand() -> None:
    partition = assigned(begun(P0))
    [lane] = take_up(partition, record(0))
    partition.fence()
    assert partition.start(lane) is None


def test_a_log_that_was_cut_begins_a_new_epoch_without_a_word_of_the_old_one() -> None:
    progress = begun(P0)
    old = assigned(progress)
    lanes = take_up(old, record(10, b"a"), record(11, b"b"))
    old.fence()
    new = progress.begin_again(old)
    take_up(new, record(3, b"c"))
    assert assigned(progress) is new
    assert [lane for lane in lanes if old.start(lane)] == []


def test_halted_keys_travel_with_the_commit() -> None:
    progress = begun(P0)
    [lane] = take_up(assigned(progress), record(0, b"bad"))
    progress.halted.beside(record(0, b"bad")).halt(record(0, b"bad"))
    finish(assigned(progress), lane)
    [(_, position)] = progress.uncommitted().items()

    successor = Progress(HaltedKeys())
    successor.assign({P0: position})
    assert holds(successor, record(1, b"bad"))
    assert not holds(successor, record(1, b"good"))
    successor.revoke({P0})
    assert not holds(successor, record(1, b"bad"))


def test_what_a_redriven_record_stopped_stays_stopped_with_the_next_owner() -> None:
    def again(offset: int, seen: int) -> Message:
        return record(offset, b"bad")._replace(
            headers=(("cqrs-redrive-count", b"1"), ("cqrs-redrive-seen", b"%d" % seen))
        )

    progress = begun(P0)
    [lane] = take_up(assigned(progress), again(0, 3))
    progress.halted.beside(again(0, 3)).halt(again(0, 3), 3)
    finish(assigned(progress), lane)
    [(_, position)] = progress.uncommitted().items()

    successor = Progress(HaltedKeys())
    successor.assign({P0: position})
    beside = successor.halted.beside(again(1, 3))
    assert beside.holds(again(1, 3))
    assert not beside.may_run(again(1, 3)), "its redrive did not know"
    assert beside.may_run(again(2, 4))


def test_only_what_changed_is_committed_again() -> None:
    progress = begun(P0, P1)
    [lane] = take_up(assigned(progress, 1), record(5, partition=1))
    finish(assigned(progress, 1), lane)
    [(partition, position)] = progress.uncommitted().items()
    assert (partition.place, position) == (P1, Position(6))
    partition.unsaved = False
    assert progress.uncommitted() == {}


class Deliveries(RuleBasedStateMachine):
    """A log of one partition, handled by one owner after another; a commit may be lost, and so may an owner."""

    def __init__(self) -> None:
        super().__init__()
        self.committed: Position | None = None
        self.done: set[int] = set()
        self.runs: list[int] = []
        self.length = 0
        self.keys: list[int] = []

    @initialize()
    def take_over(self) -> None:
        self.progress = Progress()
        self.progress.assign({P0: self.committed})
        self.partition = assigned(self.progress)
        self.read_up_to = self.committed.offset if self.committed else 0
        self.lanes: list[Lane] = []

    @rule(key=st.integers(0, 3))
    def grow(self, key: int) -> None:
        self.keys.append(key)
        self.length += 1

    @precondition(lambda self: self.read_up_to < self.length)
    @rule(count=st.integers(1, 5))
    def read(self, count: int) -> None:
        for offset in range(self.read_up_to, min(self.length, self.read_up_to + count)):
            lane = self.partition.add(record(offset, bytes([self.keys[offset]])))
            if lane is not None:
                self.lanes.append(lane)
            self.read_up_to = offset + 1

    @precondition(lambda self: any(self._ready()))
    @rule(choice=st.randoms(use_true_random=False))
    def work(self, choice: object) -> None:
        lane = choice.choice(list(self._ready()))  # type: ignore[attr-defined]
        entry = self.partition.start(lane)
        assert entry is not None
        offset = entry.message.offset
        assert not any(self.keys[other] == self.keys[offset] and other not in self.done for other in range(offset)), (
            "a record ran before an earlier one of its key was done"
        )
        self.runs.append(offset)
        self.done.add(offset)
        self.partition.finish(lane)

    @rule()
    def commit(self) -> None:
        for partition, position in self.progress.uncommitted().items():
            self.committed = position
            partition.unsaved = False

    @rule(commits=st.booleans())
    def hand_over(self, commits: bool) -> None:
        self.partition.fence()
        if commits:
            self.commit()
        self.progress.revoke({P0})
        self.take_over()

    @invariant()
    def no_commit_passes_unfinished_work(self) -> None:
        if self.committed is not None:
            assert self.done >= set(range(self.committed.offset))

    @invariant()
    def the_buffer_is_what_stands_in_lanes(self) -> None:
        standing = sum(len(lane.entries) for lane in self.partition.lanes.values())
        assert self.partition.buffered == standing
        assert self.partition.buffered_bytes == 6 * standing

    def _ready(self) -> Iterator[Lane]:
        return (lane for lane in self.partition.lanes.values() if lane.entries)


TestDeliveries = pytest.mark.filterwarnings("ignore")(Deliveries.TestCase)
TestDeliveries.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
