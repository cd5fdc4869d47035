import logging
from collections.abc import Callable, Iterator

import pytest

from cqrs.kafka.producer import KafkaProducer
from cqrs.kafka.repetition import RepetitionFilter, quieten_aiokafka
from cqrs.testing.embedded_broker import EmbeddedBroker


class Clock:
    """A clock that is set by hand, and a logger's place from which it says something."""

    def __init__(self) -> None:
        self.now = 0.0
        self.filter = RepetitionFilter(lambda: self.now)

    def say(self, message: str, *arguments: object, line: int = 1, level: int = logging.WARNING) -> str | None:
        record = logging.LogRecord("aiokafka", level, "client.py", line, message, arguments, None)
        return record.getMessage() if self.filter.filter(record) else None


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kafka_logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("aiokafka.consumer.group_coordinator")
    before = logger.filters[:]
    logger.filters.clear()
    yield logger
    logger.filters[:] = before


def test_what_is_repeated_is_said_once_a_second_with_the_number_held_back(clock: Clock) -> None:
    assert clock.say("node %s is away", 1) == "node 1 is away"
    for clock.now in (0.1, 0.5, 0.99):
        assert clock.say("node %s is away", 1) is None
    clock.now = 1.0
    assert clock.say("node %s is away", 1) == "node 1 is away (and 3 more like it)"


def test_the_longer_it_goes_on_the_seldomer_it_is_said(clock: Clock) -> None:
    said_at = []
    for tenth in range(601):
        clock.now = tenth / 10
        if clock.say("away"):
            said_at.append(clock.now)
    assert said_at == [0.0, 1.0, 3.0, 7.0, 15.0, 25.0, 35.0, 45.0, 55.0]


def test_after_a_rest_it_is_said_at_once_and_then_every_second_again(clock: Clock) -> None:
    for clock.now in (0.0, 0.5, 1.0, 1.5, 3.0):
        clock.say("away")
    clock.now = 60.0
    assert clock.say("away") == "away"
    clock.now = 61.0
    assert clock.say("away") == "away"


def test_another_message_or_place_is_heard(clock: Clock) -> None:
    assert clock.say("node %s is away", 1)
    assert clock.say("node %s is away", 2)
    assert clock.say("node %s is away", 1, line=2)


def test_debugging_hears_everything(clock: Clock) -> None:
    assert [clock.say("sent", level=logging.DEBUG) for _ in range(3)] == ["sent"] * 3


def test_messages_that_are_never_repeated_are_not_remembered_for_ever(clock: Clock) -> None:
    for number in range(10_000):
        assert clock.say("correlation %d", number)
    assert len(clock.filter._said) <= 256


def test_it_reaches_every_logger_of_aiokafka_once_and_no_other(kafka_logger: logging.Logger) -> None:
    logging.getLogger("aiokafkaesque")
    quieten_aiokafka()
    quieten_aiokafka()
    assert [type(each) for each in kafka_logger.filters] == [RepetitionFilter]
    assert logging.getLogger("aiokafkaesque").filters == []


@pytest.mark.asyncio
async def test_a_producer_that_connects_quietens_its_library(
    broker: EmbeddedBroker, producers: Callable[..., KafkaProducer], kafka_logger: logging.Logger
) -> None:
    await producers().start()
    assert [type(each) for each in kafka_logger.filters] == [RepetitionFilter]
