import pytest

from cqrs.kafka.cut_logs import CutLogs
from cqrs.messaging.message import TopicPartition

P0, P1 = TopicPartition("orders", 0), TopicPartition("orders", 1)


def test_a_position_is_gone_when_it_was_refused_twice_in_a_row(caplog: pytest.LogCaptureFixture) -> None:
    logs = CutLogs()
    assert not logs.is_gone(P0, 7)
    logs.refuse({P0: 7})
    assert not logs.is_gone(P0, 7)
    assert not caplog.text
    logs.refuse({P0: 7})
    assert logs.is_gone(P0, 7)
    assert "orders[0] has nothing at offset 7, where the group stands" in caplog.text


def test_another_position_or_partition_is_judged_for_itself() -> None:
    logs = CutLogs()
    for refused in ({P0: 7, P1: 7}, {P0: 8}, {P0: 7}):
        logs.refuse(refused)
        assert not any(logs.is_gone(partition, offset) for partition in (P0, P1) for offset in (7, 8))
    logs.refuse({P0: 7})
    assert [logs.is_gone(P0, 7), logs.is_gone(P0, 8), logs.is_gone(P1, 7)] == [True, False, False]
