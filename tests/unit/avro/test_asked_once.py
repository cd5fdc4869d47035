import asyncio

import pytest

from cqrs.avro.asked_once import AskedOnce
from cqrs.exceptions import DependencyUnavailableException


class Oracle:
    def __init__(self) -> None:
        self.asked: list[int] = []
        self.away = False
        self.answering = asyncio.Event()
        self.answering.set()
        self.called = asyncio.Event()

    async def __call__(self, key: int) -> str:
        self.asked.append(key)
        self.called.set()
        await self.answering.wait()
        if self.away:
            raise DependencyUnavailableException("oracle", "asleep")
        return f"answer {key}"


@pytest.mark.asyncio
async def test_an_answer_is_remembered() -> None:
    oracle = Oracle()
    asked = AskedOnce(oracle)

    assert asked.known(1) is None
    assert [await asked.get(1), await asked.get(1), asked.known(1)] == ["answer 1"] * 3
    assert oracle.asked == [1]


@pytest.mark.asyncio
async def test_callers_at_the_same_time_share_one_question() -> None:
    oracle = Oracle()
    asked = AskedOnce(oracle)

    assert await asyncio.gather(*(asked.get(7) for _ in range(50))) == ["answer 7"] * 50
    assert oracle.asked == [7]


@pytest.mark.asyncio
async def test_a_failure_is_shared_and_never_kept() -> None:
    oracle = Oracle()
    oracle.away = True
    asked = AskedOnce(oracle)

    failures = await asyncio.gather(asked.get(1), asked.get(1), return_exceptions=True)
    oracle.away = False

    assert [type(failure) for failure in failures] == [DependencyUnavailableException] * 2
    assert oracle.asked == [1]
    assert await asked.get(1) == "answer 1"


@pytest.mark.asyncio
async def test_a_cancelled_caller_takes_the_answer_from_nobody() -> None:
    oracle = Oracle()
    oracle.answering.clear()
    asked = AskedOnce(oracle)
    impatient, patient = asyncio.create_task(asked.get(1)), asyncio.create_task(asked.get(1))
    await oracle.called.wait()

    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    oracle.answering.set()

    assert await patient == "answer 1"
    assert oracle.asked == [1]


@pytest.mark.asyncio
async def test_a_failure_that_nobody_waits_for_is_no_warning() -> None:
    oracle = Oracle()
    oracle.away = True
    oracle.answering.clear()
    asked = AskedOnce(oracle)
    caller = asyncio.create_task(asked.get(1))
    await oracle.called.wait()

    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    oracle.answering.set()
    oracle.away = False

    assert await asked.get(1) == "answer 1"


@pytest.mark.asyncio
async def test_the_least_recently_used_answer_is_given_up() -> None:
    oracle = Oracle()
    asked = AskedOnce(oracle, capacity=2)

    for key in (1, 2, 1, 3):
        await asked.get(key)

    assert [asked.known(key) for key in (1, 2, 3)] == ["answer 1", None, "answer 3"]
