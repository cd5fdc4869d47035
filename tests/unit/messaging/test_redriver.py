"""Letters are sent, then settled: a crash between the two repeats some and loses none, and nothing is sent twice."""

from collections.abc import Awaitable, Callable

import pytest

from cqrs.exceptions import DependencyUnavailableException, UnpublishableEventException
from cqrs.messaging import dead_letter_headers as names
from cqrs.messaging.commit_note import CommitNote, write_note
from cqrs.messaging.letter_facts import Selection
from cqrs.messaging.message import OutgoingMessage, Position, Receipt, TopicPartition
from cqrs.messaging.redrive import RedriveRules, plan_redrive
from cqrs.messaging.redrive_session import RedriveSession
from cqrs.messaging.redriver import CHUNK_LETTERS, Redriver, RedriverParts, Report
from cqrs.testing.memory import MemoryBroker, MemoryConsumer, MemoryProducer
from cqrs.testing.recording_tracer import RecordingTracer
from tests.unit.messaging.redrive_letters import MemoryPositions, MemoryRecords, letter, put

CMD, LETTERS = TopicPartition("cmd", 0), TopicPartition("cmd-dlt", 0)
AWAY = DependencyUnavailableException("kafka", "away")


class Refusing(MemoryProducer):
    """Refuse what a test says, and tell when something is sent."""

    def __init__(self, broker: MemoryBroker) -> None:
        super().__init__(broker)
        self.refused: set[bytes] = set()
        self.on_sent: Callable[[OutgoingMessage], Awaitable[None]] | None = None

    async def send(self, message: OutgoingMessage) -> Receipt:
        if message.value in self.refused:
            raise UnpublishableEventException("too large")
        receipt = await super().send(message)
        if self.on_sent is not None:
            await self.on_sent(message)
        return receipt


class Shop:
    """Hold a broker in memory with dead letters, and redrive them."""

    def __init__(self) -> None:
        self.broker = MemoryBroker({"cmd": 1, "cmd-dlt": 1})
        self.kept = MemoryBroker({"cmd-dlt": 1})  # what the group of the redrive commits
        self.producer = Refusing(self.broker)
        self.member = MemoryConsumer(self.kept, ["cmd-dlt"])
        self.positions = MemoryPositions(shop_redrive=self.kept, shop=self.broker)
        self.records = MemoryRecords(self.broker, ["cmd-dlt"])
        self.originals = MemoryRecords(self.broker, ["cmd"])
        self.tracer = RecordingTracer()
        self.progress = 0

    async def redrives(
        self,
        selection: Selection | None = None,
        *,
        discard: bool = False,
        gone: frozenset[tuple[TopicPartition, int]] = frozenset(),
        shown: dict[TopicPartition, int] | None = None,
    ) -> Report:
        rules = RedriveRules(str, "{}-dlt".format, self.broker.topics)
        self.member = MemoryConsumer(self.kept, ["cmd-dlt"])
        session = RedriveSession(self.member, self.positions, "shop.redrive", {LETTERS}, 0.0, 0.0)
        await session.open()
        parts = RedriverParts(
            self.records, self.originals, self.producer, self.positions, session, self.tracer, "shop", rules
        )
        redriver = Redriver(parts, self._advance)
        self.redriver = redriver
        plan = plan_redrive((await redriver.look(shown)).letters, selection or Selection(), rules)
        self.records.deleted = set(gone)
        await (redriver.discard(plan) if discard else redriver.redrive(plan, 0.0))
        return redriver.report

    def sent(self) -> list[bytes | None]:
        return [each.value for each in self.broker.messages("cmd")]

    async def left(self) -> list[int]:
        await self.redrives(Selection(ids=frozenset({"none"})))
        return [each.offset for each in (await self.redriver.look()).letters]

    def _advance(self, count: int) -> None:
        self.progress += count


@pytest.mark.asyncio
async def test_all_are_sent_once_and_more_only_when_more_came() -> None:
    shop = Shop()
    await put(shop.broker, *(letter(at, key=None) for at in range(CHUNK_LETTERS + 3)))
    report = await shop.redrives()

    assert shop.sent() == [b"v%d" % at for at in range(CHUNK_LETTERS + 3)]
    assert report.redriven == {"cmd": CHUNK_LETTERS + 3}
    assert shop.progress == CHUNK_LETTERS + 3
    assert (await shop.redrives()).redriven == {}
    await put(shop.broker, letter(CHUNK_LETTERS + 3))
    assert (await shop.redrives()).redriven == {"cmd": 1}


@pytest.mark.asyncio
async def test_what_was_chosen_is_settled_and_the_rest_is_outstanding() -> None:
    shop = Shop()
    await put(shop.broker, *(letter(at) for at in range(6)))
    await shop.redrives(Selection(offsets=frozenset({1, 4})))

    assert shop.sent() == [b"v1", b"v4"]
    assert await shop.left() == [0, 2, 3, 5]
    report = await shop.redrives(Selection(offsets=frozenset({0, 4})), discard=True)
    assert (report.discarded, await shop.left()) == (1, [2, 3, 5])
    await shop.redrives()
    assert shop.sent() == [b"v1", b"v4", b"v2", b"v3", b"v5"]


@pytest.mark.asyncio
async def test_letters_of_other_groups_are_not_touched_and_stand_in_nobodys_way() -> None:
    shop = Shop()
    await put(shop.broker, letter(0, group="other"), letter(1))
    await shop.redrives()

    assert shop.sent() == [b"v1"]
    assert shop.kept.committed[LETTERS] == Position(2)


@pytest.mark.asyncio
async def test_a_crash_behind_the_sending_repeats_and_loses_nothing() -> None:
    shop = Shop()
    await put(shop.broker, letter(0), letter(1))

    async def crash(_: OutgoingMessage) -> None:
        shop.member.commit_failures = [RuntimeError("killed")]

    shop.producer.on_sent = crash
    with pytest.raises(RuntimeError):
        await shop.redrives()
    shop.producer.on_sent = None
    await shop.redrives()
    await shop.redrives()

    assert shop.sent() == [b"v0", b"v1", b"v0", b"v1"]


@pytest.mark.asyncio
async def test_what_the_broker_did_not_acknowledge_is_outstanding_and_the_rest_is_not() -> None:
    shop = Shop()
    await put(shop.broker, *(letter(at, key=b"%d" % at) for at in range(3)))
    shop.producer.failures = [AWAY]
    with pytest.raises(DependencyUnavailableException):
        await shop.redrives()

    assert shop.sent() == [b"v1", b"v2"]
    assert await shop.left() == [0]


@pytest.mark.asyncio
async def test_a_halted_key_stops_at_what_is_refused_and_is_not_released() -> None:
    shop = Shop()
    await put(shop.broker, *(letter(at, halted=b"follower") for at in range(4)), letter(4, key=b"other"))
    shop.producer.refused = {b"v1"}
    report = await shop.redrives()

    assert sorted(each or b"" for each in shop.sent()) == [b"v0", b"v4"]
    assert [(each.letter.offset, each.reason.split(",")[0]) for each in report.kept] == [
        (1, "too large"),
        (2, "its key is halted"),
        (3, "its key is halted"),
    ]
    assert report.released == 0
    assert await shop.left() == [1, 2, 3]


@pytest.mark.asyncio
async def test_a_halted_key_waits_while_the_broker_is_away() -> None:
    shop = Shop()
    await put(shop.broker, *(letter(at, halted=b"follower") for at in range(3)))
    shop.producer.failures = [AWAY]
    with pytest.raises(DependencyUnavailableException):
        await shop.redrives()

    assert shop.sent() == []


@pytest.mark.asyncio
async def test_letters_that_come_while_a_key_is_released_follow_until_none_comes() -> None:
    shop = Shop()
    await put(shop.broker, letter(0, halted=b"first"))
    coming = [letter(1, halted=b"follower"), letter(2, key=b"other"), letter(3, halted=b"follower")]

    async def come(_: OutgoingMessage) -> None:
        if coming:
            await put(shop.broker, coming.pop(0))
            if coming and coming[0].key == b"other":
                await put(shop.broker, coming.pop(0))

    shop.producer.on_sent = come
    report = await shop.redrives()

    assert shop.sent() == [b"v0", b"v1", b"v3"]
    assert (report.late, report.released, report.unheard) == (2, 1, 3)
    assert all(dict(each.headers)[names.REDRIVE_RELEASE] == b"1" for each in shop.broker.messages("cmd"))
    assert await shop.left() == [2]


@pytest.mark.asyncio
async def test_what_came_since_somebody_was_asked_goes_behind_the_release_and_is_told() -> None:
    shop = Shop()
    await put(shop.broker, *(letter(at, halted=b"follower") for at in range(3)), letter(3, key=b"other"))
    report = await shop.redrives(shown={LETTERS: 2})

    assert shop.sent() == [b"v0", b"v1", b"v2"]
    assert (report.late, report.released) == (1, 1)
    assert await shop.left() == [3]


@pytest.mark.asyncio
async def test_each_says_up_to_where_its_redrive_had_looked() -> None:
    shop = Shop()
    await put(shop.broker, letter(0, halted=b"first"), letter(1, key=b"other"), letter(2, halted=b"follower"))
    shop.producer.on_sent = lambda _: put(shop.broker, letter(0, 9, key=b"other"))
    await shop.redrives()
    await shop.redrives(shown={LETTERS: 5})

    seen = [dict(each.headers)[names.REDRIVE_SEEN] for each in shop.broker.messages("cmd")]
    assert seen == [b"3", b"3", b"3", b"5", b"5"]


@pytest.mark.asyncio
async def test_a_release_is_seen_in_what_the_service_commits_or_notes() -> None:
    for committed in (Position(1), Position(0, write_note(0, CommitNote((range(1),))))):
        shop = Shop()
        shop.broker.committed[CMD] = committed
        await put(shop.broker, letter(0, halted=b"first"))
        assert (await shop.redrives()).unheard == 0


@pytest.mark.asyncio
async def test_what_failed_again_is_told_and_not_sent_round_and_round() -> None:
    shop = Shop()
    await put(shop.broker, letter(0, halted=b"first"))

    async def fail(message: OutgoingMessage) -> None:
        await put(shop.broker, letter(1, 0, halted=b"first", count=1), letter(2, 9, halted=b"follower"))

    shop.producer.on_sent = fail
    report = await shop.redrives()

    assert shop.sent() == [b"v0"]
    assert report.released == 0
    assert [each.reason.split(":")[0] for each in report.kept] == [
        "it failed again",
        "its key is halted again by one that failed again",
    ]
    assert await shop.left() == [1, 2]


@pytest.mark.asyncio
async def test_a_key_goes_on_though_its_last_one_is_refused_and_what_came_meanwhile_follows() -> None:
    shop = Shop()
    await put(shop.broker, letter(0, halted=b"first", count=2))
    refused = letter(1, 0, count=3)
    coming = [
        refused._replace(headers=(*refused.headers, (names.REDRIVE_RELEASE, b"1"))),
        letter(2, halted=b"follower"),
    ]

    async def come(_: OutgoingMessage) -> None:
        await put(shop.broker, *coming)
        coming.clear()

    shop.producer.on_sent = come
    report = await shop.redrives()

    assert shop.sent() == [b"v0", b"v2"]
    assert (report.late, report.released) == (1, 1)
    assert [(each.letter.offset, each.reason.split(":")[0]) for each in report.kept] == [(1, "it failed again")]
    assert await shop.left() == [1]


@pytest.mark.asyncio
async def test_a_reference_is_sent_as_its_record_or_stays_when_that_is_gone() -> None:
    shop = Shop()
    await shop.broker.append(OutgoingMessage("cmd", b"k", b"large", (("ce_id", b"id-0"),), 0))
    await shop.broker.append(OutgoingMessage("cmd", b"another", b"no", (), 0))
    omitted = (names.OMITTED_VALUE, b"5")
    references = [letter(0, 0), letter(1, 1), letter(2, 7), letter(3, 0)._replace(key=None)]
    await put(shop.broker, *(each._replace(value=None, headers=(*each.headers, omitted)) for each in references))
    report = await shop.redrives()

    assert shop.sent() == [b"large", b"no", b"large", b"large"]
    assert [each.key for each in shop.broker.messages("cmd")[2:]] == [b"k", b"k"]
    assert [each.letter.offset for each in report.kept] == [1, 2]
    assert all("its record does not lie at cmd[0]@" in each.reason for each in report.kept)


@pytest.mark.asyncio
async def test_letters_that_are_deleted_meanwhile_are_told() -> None:
    shop = Shop()
    await put(shop.broker, letter(0, key=b"a"), letter(1), letter(2, halted=b"follower"))
    report = await shop.redrives(gone=frozenset({(LETTERS, 0), (LETTERS, 1)}))

    assert shop.sent() == [b"v2"]
    assert [each.reason for each in report.kept] == ["it was deleted meanwhile"] * 2


@pytest.mark.asyncio
async def test_the_trace_of_the_failure_is_linked_and_a_new_one_begins() -> None:
    shop = Shop()
    given = letter(0)
    await put(shop.broker, given._replace(headers=(*given.headers, ("traceparent", b"00-failed"), ("baggage", b"a=b"))))
    await shop.redrives()

    (span,) = shop.tracer.spans
    assert (span.name, span.link) == ("send cmd", (("traceparent", b"00-failed"),))
    assert span.parent_headers == (("baggage", b"a=b"),)
    (message,) = shop.broker.messages("cmd")
    assert [value for name, value in message.headers if name == "traceparent"] == [
        f"00-{span.trace_id}-{span.span_id}-01".encode()
    ]


@pytest.mark.asyncio
async def test_settling_stops_where_the_note_has_no_room() -> None:
    shop = Shop()
    await put(shop.broker, *(letter(at, key=None) for at in range(9_000)))
    scattered = frozenset(at for at in range(1, 9_000) if at % 2 or (at % 7 == 0 and at % 3))
    report = await shop.redrives(Selection(offsets=scattered))

    assert len(shop.sent()) + len(report.kept) == len(scattered)
    if report.kept:
        assert "has no room" in report.kept[0].reason
    again = await shop.redrives(Selection(offsets=scattered))
    assert again.redriven == {}
