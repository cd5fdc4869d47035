"""Only what is done in the current epoch may be committed."""

from cqrs.messaging.message import Message, TopicPartition
from cqrs.messaging.progress import Progress

P0, P1 = TopicPartition("t", 0), TopicPartition("t", 1)


def record(partition: int, offset: int) -> Message:
    return Message("t", partition, offset, None, b"")


def test_nothing_is_committable_before_something_is_done() -> None:
    progress = Progress()
    progress.assign([P0])

    assert progress.uncommitted() == {}


def test_the_offset_behind_the_finished_record_is_committable_until_it_is_committed() -> None:
    progress = Progress()
    progress.assign([P0, P1])
    progress.finish(record(0, 41), progress.epoch(P0))
    progress.finish(record(1, 7), progress.epoch(P1))

    assert progress.uncommitted() == {P0: 42, P1: 8}
    assert progress.uncommitted([P1]) == {P1: 8}
    progress.committed({P0: 42})
    assert progress.uncommitted() == {P1: 8}


def test_a_completion_of_an_earlier_epoch_is_dropped() -> None:
    progress = Progress()
    progress.assign([P0])
    old = progress.epoch(P0)
    progress.revoke([P0])
    progress.assign([P0])

    progress.finish(record(0, 5), old)

    assert progress.uncommitted() == {}
    assert not progress.may_start(P0, old)


def test_a_fence_stops_new_work_but_counts_what_is_in_hand() -> None:
    progress = Progress()
    progress.assign([P0])
    epoch = progress.epoch(P0)
    progress.fence([P0])

    assert not progress.may_start(P0, epoch)
    progress.finish(record(0, 3), epoch)
    assert progress.uncommitted([P0]) == {P0: 4}


def test_a_new_assignment_lifts_the_fence() -> None:
    progress = Progress()
    progress.assign([P0])
    progress.fence([P0])
    progress.revoke([P0])
    progress.assign([P0])

    assert progress.may_start(P0, progress.epoch(P0))


def test_a_commit_that_arrives_after_revocation_is_forgotten() -> None:
    progress = Progress()
    progress.assign([P0])
    progress.finish(record(0, 3), progress.epoch(P0))
    progress.revoke([P0])
    progress.committed({P0: 4})
    progress.assign([P0])
    progress.finish(record(0, 3), progress.epoch(P0))

    assert progress.uncommitted() == {P0: 4}
