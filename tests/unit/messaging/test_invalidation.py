"""Events in, evictions out: whatever is away or broken, and in the order of the topic."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import pytest

from cqrs.cache.adapter import QueryCacheAdapter
from cqrs.cache.eda_bridge import EdaCacheInvalidationBridge
from cqrs.exceptions import DependencyUnavailableException, UndecodableMessageException
from cqrs.messaging import invalidation
from cqrs.messaging.backoff import Backoff
from cqrs.messaging.invalidation import InvalidationFeed, Reading
from cqrs.messaging.message import Message
from cqrs.messaging.metrics import INVALIDATIONS
from cqrs.messaging.values import JSON, Values

T = TypeVar("T")
RULE = "orders.Cancelled"
AWAY = DependencyUnavailableException("redis", "no answer")


class Reader:
    """Give out readings, raise what is an error, then wait; say when all of it is done with."""

    def __init__(self, *steps: Reading | Exception) -> None:
        self.steps = list(steps)
        self.exhausted = asyncio.Event()
        self.started = self.stopped = 0

    async def start(self) -> None:
        self.started += 1

    async def poll(self, timeout_seconds: float) -> Reading:
        if not self.steps:
            self.exhausted.set()
            await asyncio.Event().wait()
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    async def stop(self) -> None:
        self.stopped += 1


class Cache(QueryCacheAdapter):
    """Write down what is asked, and fail as told, first to last."""

    def __init__(self, *failures: Exception) -> None:
        super().__init__()
        self.done: list[str] = []
        self.failures = list(failures)
        self.hangs = False

    async def evict(self, key: str) -> bool:
        await self._do(key)
        return True

    async def clear(self) -> None:
        await self._do("everything")

    async def _do(self, what: str) -> None:
        if self.hangs:
            self.hangs = False
            await asyncio.Event().wait()
        if self.failures:
            raise self.failures.pop(0)
        self.done.append(what)


@dataclass
class Value:
    content: object
    type_name: str | None

    def build(self, target: type[T]) -> T:
        raise AssertionError("events are read without their classes")

    def plain(self) -> object:
        return self.content


class Decoder:
    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.parsed = 0

    async def parse(self, message: Message, declared_type: str | None) -> Value:
        self.parsed += 1
        if self.failures:
            raise self.failures.pop(0)
        try:
            content = json.loads(message.value or b"")
        except ValueError as error:
            raise UndecodableMessageException(str(error)) from error
        return Value(content, content.get("type") if isinstance(content, dict) else None)


class Metrics:
    def __init__(self) -> None:
        self.outcomes: list[str] = []

    def increment(self, name: str, labels: Mapping[str, str]) -> None:
        assert (name, labels["topic"]) == (INVALIDATIONS, "events")
        self.outcomes.append(labels["outcome"])

    def observe(self, name: str, seconds: float, labels: Mapping[str, str]) -> None:
        raise AssertionError(name)


class Run:
    def __init__(self, cache: Cache, decoder: Decoder, reader: Reader, settling: timedelta) -> None:
        self.cache, self.decoder, self.reader, self.metrics = cache, decoder, reader, Metrics()
        bridge = EdaCacheInvalidationBridge(cache)
        bridge.register(RULE, "order:{order_id}")
        self.feed = InvalidationFeed(
            reader,
            Values({JSON: decoder}, max_bytes=100),
            bridge,
            cache,
            metrics=self.metrics,
            backoff=Backoff(0.001, 0.002),
            settling=settling,
        )

    async def finish(self) -> None:
        await self.feed.start()
        async with asyncio.timeout(10):
            await self.reader.exhausted.wait()
        await self.feed.stop()


async def run(
    *steps: Reading | Exception,
    cache: Cache | None = None,
    decoder: Decoder | None = None,
    settling: timedelta = timedelta(0),
) -> Run:
    made = Run(cache or Cache(), decoder or Decoder(), Reader(Reading(missed=True), *steps), settling)
    await made.finish()
    return made


def event(order_id: object = "o-1", *, name: str | None = RULE, value: bytes | None = b"") -> Message:
    content = json.dumps({"order_id": order_id}).encode() if value == b"" else value
    return Message("events", 0, 7, None, content, () if name is None else (("ce_type", name.encode()),))


def reading(*messages: Message) -> Reading:
    return Reading(messages)


@pytest.mark.asyncio
async def test_events_evict_in_their_order_after_everything_older_was_forgotten() -> None:
    made = await run(reading(event("1"), event("2")), reading(event(3)))
    assert made.cache.done == ["everything", "order:1", "order:2", "order:3"]
    assert made.metrics.outcomes == ["evicted"] * 3
    assert (made.reader.started, made.reader.stopped) == (1, 1)


@pytest.mark.asyncio
async def test_what_was_missed_clears_the_cache_again() -> None:
    made = await run(reading(event("1")), Reading((event("2"),), missed=True))
    assert made.cache.done == ["everything", "order:1", "everything", "order:2"]


@pytest.mark.asyncio
async def test_an_event_without_a_rule_is_not_even_decoded() -> None:
    made = await run(reading(event(name="orders.Created", value=b"{")))
    assert (made.decoder.parsed, made.metrics.outcomes, made.cache.done) == (0, ["ignored"], ["everything"])


@pytest.mark.asyncio
async def test_a_value_may_name_the_event_itself() -> None:
    made = await run(reading(event(name=None, value=b'{"type": "%s", "order_id": "5"}' % RULE.encode())))
    assert made.cache.done == ["everything", "order:5"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("message", "why"),
    [
        (event(value=b"{"), "Expecting property name"),
        (event(value=None), "the value is null"),
        (event(value=b"[1]"), "its value is no object"),
        (event("x" * 100), "MAX_MESSAGE_BYTES"),
        (event(name=None), "nothing says which event it is"),
        (Message("events", 0, 7, None, b"\0\0", (("ce_type", RULE.encode()),)), "application/avro"),
        (Message("events", 0, 7, None, b"{}", (("ce_type", RULE.encode()), ("ce_type", b"x"))), "given twice"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_cannot_be_read_is_logged_counted_and_passed(
    message: Message, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    made = await run(reading(message, event("2")))
    assert made.metrics.outcomes == ["undecodable", "evicted"]
    assert made.cache.done == ["everything", "order:2"]
    assert "events[0]@7 is no event that can be read" in caplog.text
    assert why in caplog.text


@pytest.mark.asyncio
@pytest.mark.parametrize("part", ["cache", "registry"])
async def test_what_is_away_holds_the_event_until_it_is_back(part: str, caplog: pytest.LogCaptureFixture) -> None:
    outage = [AWAY] * 20
    cache, decoder = Cache(), Decoder(*(outage if part == "registry" else ()))
    made = Run(cache, decoder, Reader(Reading(missed=True), reading(event("1"), event("2"))), timedelta(0))
    if part == "cache":
        cache.failures = list(outage)
    await made.finish()
    assert cache.done == ["everything", "order:1", "order:2"]
    assert made.metrics.outcomes == ["evicted", "evicted"]
    assert "is held" in caplog.text
    assert all(record.exc_info is None for record in caplog.records), "an outage is no defect"


@pytest.mark.asyncio
async def test_a_step_that_hangs_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invalidation, "STEP_SECONDS", 0.01)
    cache = Cache()
    cache.hangs = True
    made = await run(reading(event("1")), cache=cache)
    assert made.cache.done == ["everything", "order:1"]


@pytest.mark.asyncio
async def test_a_defect_is_tried_five_times_and_then_passed(caplog: pytest.LogCaptureFixture) -> None:
    made = await run(reading(event("1"), event("2")), decoder=Decoder(*[RuntimeError("defect")] * 5))
    assert made.decoder.parsed == 6
    assert made.metrics.outcomes == ["failed", "evicted"]
    assert "evicting for events[0]@7 is given up" in caplog.text


@pytest.mark.asyncio
@pytest.mark.parametrize("error", [DependencyUnavailableException("kafka", "away"), RuntimeError("defect")], ids=repr)
async def test_reading_goes_on_after_any_error(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    made = await run(error, error, reading(event("1")))
    assert made.cache.done == ["everything", "order:1"]
    assert [bool(each.exc_info) for each in caplog.records] == [isinstance(error, RuntimeError)] * 2


@pytest.mark.asyncio
async def test_a_start_does_not_wait_for_a_cache_that_is_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(invalidation, "CLEARING_SECONDS", 0.01)
    cache = Cache()
    cache.hangs = True
    made = Run(cache, Decoder(), Reader(Reading(missed=True)), timedelta(0))
    async with asyncio.timeout(5):
        await made.feed.start()
        await made.feed.stop()
        await made.feed.stop()
    assert not cache.done
    assert not caplog.records


@pytest.mark.asyncio
async def test_what_the_event_made_stale_settles_before_it_is_kept_again() -> None:
    made = await run(reading(event("1")), settling=timedelta(hours=1))
    assert made.cache.withholds("order:1")
    assert not made.cache.withholds("order:2")
    made = await run(reading(event("1")))
    assert not made.cache.withholds("order:1")
