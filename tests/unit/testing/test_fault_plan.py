"""A plan breaks the broker at the moments that it names, tells when it did not, and leaves the broker whole."""

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from cqrs.exceptions import ConfigurationException, DependencyUnavailableException
from cqrs.testing.embedded_broker import ApiKey, EmbeddedBroker
from cqrs.testing.fault_plan import FaultPlan, FaultPlanException
from cqrs.testing.faults import (
    NOBODY,
    BrokerDown,
    CoordinatorMove,
    Fault,
    LeaderMove,
    RequestErrors,
    SlowAnswers,
    TopicError,
)
from cqrs.testing.kafka_cluster import KafkaCluster
from cqrs.testing.kafka_server import KafkaServer
from cqrs.testing.outside_groups import committed_offsets
from tests.unit.testing.test_kafka_server import JAVA, program, tools

__all__ = ["tools"]

TOPIC = "orders"
TOO_LARGE, DENIED = 10, 29


@pytest.fixture
def broker(embedded_broker: EmbeddedBroker) -> EmbeddedBroker:
    embedded_broker.create_topic(TOPIC)
    return embedded_broker


def answers(broker: EmbeddedBroker) -> bool:
    host, port = broker.bootstrap_servers.split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def send(broker: EmbeddedBroker, seconds: float = 20.0) -> str | None:
    told: list[str | None] = []
    limit = int(seconds * 1_000)
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "message.timeout.ms": limit, "log_level": 0})
    producer.produce(TOPIC, b"v", on_delivery=lambda error, _: told.append(error.name() if error else None))
    producer.flush(seconds + 5)
    return told[0]


def test_a_fault_holds_from_one_moment_to_another_and_no_longer(broker: EmbeddedBroker) -> None:
    seen = []
    with FaultPlan(broker, BrokerDown(begins="handled:3", ends="refused")) as plan:
        for name in ("handled", "handled", "handled", "handled", "refused", "refused"):
            plan.note(name)
            seen.append(answers(broker))

    assert seen == [True, True, False, False, True, True]


def test_without_moments_it_holds_for_the_block(broker: EmbeddedBroker) -> None:
    with FaultPlan(broker, BrokerDown()):
        assert not answers(broker)
    assert answers(broker)


def test_so_many_requests_fail_as_are_planned(broker: EmbeddedBroker) -> None:
    with FaultPlan(broker, RequestErrors(ApiKey.PRODUCE, TOO_LARGE, times=2)):
        assert [send(broker) for _ in range(3)] == ["MSG_SIZE_TOO_LARGE", "MSG_SIZE_TOO_LARGE", None]


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        (RequestErrors(ApiKey.PRODUCE, TOO_LARGE), "MSG_SIZE_TOO_LARGE"),
        (TopicError(TOPIC, DENIED), "TOPIC_AUTHORIZATION_FAILED"),
        (SlowAnswers(60_000), "_MSG_TIMED_OUT"),
        (LeaderMove(TOPIC, 0, NOBODY), "_MSG_TIMED_OUT"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_kind_shows_and_leaves_nothing_behind(broker: EmbeddedBroker, fault: Fault, word: str) -> None:
    with FaultPlan(broker, fault):
        assert send(broker, seconds=0.3 if word == "_MSG_TIMED_OUT" else 20.0) == word
    assert send(broker) is None


def test_leaders_and_coordinators_move_and_come_back() -> None:
    with EmbeddedBroker(brokers=2) as broker:
        broker.create_topic(TOPIC)
        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})

        def leader() -> int:
            found: int = admin.list_topics(timeout=5).topics[TOPIC].partitions[0].leader
            return found

        with FaultPlan(broker, LeaderMove(TOPIC, 0, to=2)):
            assert leader() == 2
        assert leader() == 1


def test_a_coordinator_moves_and_comes_back() -> None:
    """What a group has committed is answered by its coordinator alone, and here one of the two brokers is down."""
    with EmbeddedBroker(brokers=2) as broker:
        broker.create_topic(TOPIC)
        broker.move_coordinator("g", 1)  # else it is any of the two
        move = CoordinatorMove("g", to=2, begins="moved", ends="back")
        with FaultPlan(broker, BrokerDown(2), move) as plan:
            assert committed_offsets(broker.bootstrap_servers, "g", TOPIC) == {}
            plan.note("moved")
            with pytest.raises(DependencyUnavailableException):
                committed_offsets(broker.bootstrap_servers, "g", TOPIC, timeout_seconds=1.0)
            plan.note("back")
            assert committed_offsets(broker.bootstrap_servers, "g", TOPIC) == {}


def test_a_block_that_fails_leaves_the_broker_whole_and_fails_as_it_did(broker: EmbeddedBroker) -> None:
    plan = FaultPlan(broker, BrokerDown(), TopicError(TOPIC, DENIED), BrokerDown(begins="never"))
    with pytest.raises(KeyError), plan:
        raise KeyError

    assert plan.active == ()
    assert send(broker) is None


def test_a_fault_that_cannot_begin_leaves_the_others_ended(broker: EmbeddedBroker) -> None:
    with (
        pytest.raises(ConfigurationException, match="broker 9"),
        FaultPlan(broker, TopicError(TOPIC, DENIED), BrokerDown(9)),
    ):
        pytest.fail("it cannot have begun")
    assert send(broker) is None


@pytest.mark.parametrize(
    ("fault", "notes", "complaint"),
    [
        (BrokerDown(begins="handled:3"), ["handled", "handled"], "never began.*'handled': 2"),
        (BrokerDown(ends="handled"), [], "ended with the block only"),
        (BrokerDown(begins="b", ends="a"), ["a", "b"], "ended with the block only"),
    ],
    ids=["never begins", "never ends", "ends before it begins"],
)
def test_a_plan_that_did_not_run_as_written_fails_the_test(
    broker: EmbeddedBroker, fault: Fault, notes: Sequence[str], complaint: str
) -> None:
    plan = FaultPlan(broker, fault).__enter__()
    for name in notes:
        plan.note(name)
    with pytest.raises(FaultPlanException, match=complaint):
        plan.__exit__(None, None, None)
    assert answers(broker)


@pytest.mark.parametrize(
    ("fault", "sent", "unmet"),
    [
        (RequestErrors(ApiKey.PRODUCE, TOO_LARGE), 0, "nobody sent a PRODUCE request"),
        (RequestErrors(ApiKey.PRODUCE, TOO_LARGE, times=2), 1, "1 of its errors were answered to nobody"),
        (RequestErrors(ApiKey.LEAVE_GROUP, DENIED, times=1), 1, "1 of its errors were answered to nobody"),
        (TopicError(TOPIC, DENIED), 0, "nobody asked where orders lies"),
    ],
    ids=["nobody asks", "asked too seldom", "asked for something else", "no metadata"],
)
def test_errors_that_nobody_met_fail_the_test(broker: EmbeddedBroker, fault: Fault, sent: int, unmet: str) -> None:
    send(broker)
    plan = FaultPlan(broker, fault).__enter__()
    for _ in range(sent):
        send(broker)
    with pytest.raises(FaultPlanException, match=unmet):
        plan.__exit__(None, None, None)
    assert send(broker) is None


def test_errors_that_begin_later_are_not_met_by_what_came_before(broker: EmbeddedBroker) -> None:
    first = RequestErrors(ApiKey.PRODUCE, TOO_LARGE, times=1)
    second = RequestErrors(ApiKey.PRODUCE, TOO_LARGE, times=1, begins="sent")
    plan = FaultPlan(broker, first, second).__enter__()
    assert send(broker) == "MSG_SIZE_TOO_LARGE"
    plan.note("sent")
    with pytest.raises(FaultPlanException) as failed:
        plan.__exit__(None, None, None)

    assert str(failed.value).startswith(f"{second}: 1 of its errors were answered to nobody. Noted:")


def test_two_errors_that_hold_at_once_need_a_request_each(broker: EmbeddedBroker) -> None:
    errors = [RequestErrors(ApiKey.PRODUCE, code, times=1) for code in (TOO_LARGE, DENIED)]
    with FaultPlan(broker, *errors):
        assert [send(broker), send(broker)] == ["MSG_SIZE_TOO_LARGE", "TOPIC_AUTHORIZATION_FAILED"]

    plan = FaultPlan(broker, *errors).__enter__()
    send(broker)
    with pytest.raises(FaultPlanException, match="1 of its errors were answered to nobody"):
        plan.__exit__(None, None, None)


def test_errors_that_librdkafka_does_not_answer_are_refused_at_once(broker: EmbeddedBroker) -> None:
    with pytest.raises(ConfigurationException, match="METADATA"):
        FaultPlan(broker, RequestErrors(ApiKey.METADATA, DENIED))
    with pytest.raises(ConfigurationException, match="METADATA"):
        broker.fail_requests(ApiKey.METADATA, DENIED)


def test_a_plan_runs_once(broker: EmbeddedBroker) -> None:
    plan = FaultPlan(broker, RequestErrors(ApiKey.PRODUCE, TOO_LARGE, times=1))
    with plan:
        send(broker)
    with pytest.raises(ConfigurationException, match="runs once"), plan:
        pytest.fail("it would do nothing")


def test_nothing_begins_behind_the_block(broker: EmbeddedBroker) -> None:
    plan = FaultPlan(broker, BrokerDown(begins="acked:2"))
    with pytest.raises(KeyError), plan:
        raise KeyError
    plan.note("acked")
    plan.note("acked")

    assert plan.active == ()
    assert answers(broker)


@pytest.mark.parametrize("moment", ["", "handled:", "handled:-1", "handled:0", "handled:x", ":3"])
def test_a_moment_that_cannot_be_read_is_refused_at_once(broker: EmbeddedBroker, moment: str) -> None:
    with pytest.raises(ConfigurationException, match="no moment"):
        FaultPlan(broker, BrokerDown(begins=moment))


@pytest.mark.asyncio
async def test_a_moment_can_be_waited_for_from_another_task(broker: EmbeddedBroker) -> None:
    with FaultPlan(broker, BrokerDown(begins="handled:2")) as plan:
        waiting = asyncio.create_task(plan.until("handled:2"))
        await plan.noted("handled")
        await plan.noted("handled")
        await waiting
        assert not answers(broker)
        with pytest.raises(TimeoutError, match="handled came 2 times"):
            await plan.until("handled:3", seconds=0.01)


@pytest.mark.asyncio
async def test_waiting_for_a_moment_can_be_cut_off(broker: EmbeddedBroker) -> None:
    with FaultPlan(broker, BrokerDown()) as plan:
        waiting = asyncio.create_task(plan.until("never", seconds=3_600))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_real_server_goes_and_comes_by_the_same_plan(tools: Path, tmp_path: Path, how: str) -> None:
    program(tools, "java", JAVA)
    with KafkaServer(tmp_path) as server:
        first = server._process
        with FaultPlan(server, BrokerDown(how=how, begins="now", ends="then")) as plan:  # type: ignore[arg-type]
            plan.note("now")
            gone = server._process
            plan.note("then")
        assert gone is None
        assert server._process is not first
        assert server._process is not None


def test_one_of_a_real_cluster_goes_and_comes(tools: Path, tmp_path: Path) -> None:
    program(tools, "java", JAVA)
    with KafkaCluster(tmp_path) as cluster:
        with FaultPlan(cluster, BrokerDown(2)):
            assert [each._process is None for each in cluster.brokers] == [False, True, False]
        assert all(each.is_running for each in cluster.brokers)
        one, two = BrokerDown(1, ends="one"), BrokerDown(2, ends="two")
        with FaultPlan(cluster, one, two) as plan:
            assert [each.is_running for each in cluster.brokers] == [False, False, True]
            plan.note("one")
            assert [each.is_running for each in cluster.brokers] == [True, False, True]
            plan.note("two")
        with pytest.raises(ConfigurationException, match="no broker 4"), FaultPlan(cluster, BrokerDown(4)):
            pytest.fail("there are three")


def test_what_a_real_server_cannot_show_is_refused_all_at_once(tools: Path, tmp_path: Path) -> None:
    program(tools, "java", JAVA)
    server = KafkaServer(tmp_path)
    with pytest.raises(ConfigurationException) as refused:
        FaultPlan(server, SlowAnswers(10), RequestErrors(ApiKey.FETCH, 6), BrokerDown())
    server.close()

    assert len(refused.value.problems) == 2
    assert all("EmbeddedBroker" in problem for problem in refused.value.problems)
