import asyncio
from types import SimpleNamespace

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError

from cqrs.kafka.producing import ProducerLine, Producers

pytestmark = pytest.mark.asyncio


class Made:
    """Be a client that writes down what is done to it."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.may_start = asyncio.Event()
        self.may_start.set()
        self.was_closed = asyncio.Event()
        self.client = SimpleNamespace(close=self.stop)
        self._sender = SimpleNamespace(sender_task=None)
        self._message_accumulator = SimpleNamespace(fail_all=lambda _: None, _batches={})

    async def start(self) -> None:
        await self.may_start.wait()
        if self.fails:
            raise KafkaConnectionError("nobody there")

    async def stop(self) -> None:
        self.was_closed.set()


class Maker:
    """Make clients, and remember them in order."""

    def __init__(self) -> None:
        self.made: list[Made] = []
        self.fails = False

    def __call__(self) -> AIOKafkaProducer:
        self.made.append(Made(fails=self.fails))
        return self.made[-1]


def soon(seconds: float = 5.0) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_one_is_made_however_many_ask_at_once() -> None:
    make = Maker()
    line = ProducerLine(make)

    async def use() -> object:
        async with line.using(soon()) as producer:
            return producer

    assert len(set(await asyncio.gather(*(use() for _ in range(10))))) == len(make.made) == 1
    await line.close()
    assert line.producer is None
    assert make.made[0].was_closed.is_set()


@pytest.mark.parametrize("error", [KafkaError(), TimeoutError(), OSError()])
async def test_one_that_failed_is_not_lent_again_and_closed_when_its_last_user_has_ended(error: Exception) -> None:
    make = Maker()
    line = ProducerLine(make)
    async with line.using(soon()):
        with pytest.raises(type(error)):
            async with line.using(soon()):
                raise error
        assert line.producer is None
        async with line.using(soon()) as other:
            assert other is make.made[1]
        await asyncio.sleep(0)
        assert not make.made[0].was_closed.is_set()
    await asyncio.wait_for(make.made[0].was_closed.wait(), 5)
    await line.close()


async def test_what_says_nothing_of_the_client_does_not_replace_it() -> None:
    line = ProducerLine(Maker())
    with pytest.raises(ValueError, match="mine"):
        async with line.using(soon()):
            raise ValueError("mine")
    assert line.producer is not None
    await line.close()


async def test_one_that_does_not_connect_is_closed_and_the_next_tries_anew() -> None:
    make = Maker()
    line = ProducerLine(make)
    make.fails = True
    with pytest.raises(KafkaConnectionError):
        await line.open(soon())
    assert make.made[0].was_closed.is_set()
    make.fails = False
    await line.open(soon())
    await line.close()


async def test_a_connection_that_takes_too_long_is_given_up() -> None:
    make = Maker()
    line = ProducerLine(make)
    made = Made()
    made.may_start.clear()
    line._make = lambda: made
    with pytest.raises(TimeoutError):
        await line.open(soon(0.01))
    assert made.was_closed.is_set()


async def test_large_messages_have_one_turn_at_a_time_and_hold_up_no_others() -> None:
    make = Maker()
    producers = Producers(make)
    async with producers.using(soon(), large=True) as large:
        with pytest.raises(TimeoutError):
            async with producers.using(soon(0.01), large=True):
                pass
        async with producers.using(soon(), large=False) as usual:
            assert usual is not large
    async with producers.using(soon(), large=True) as again:
        assert again is large
    await producers.close()
    assert all(made.was_closed.is_set() for made in make.made)
