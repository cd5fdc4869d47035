"""What was put aside goes back when its reason is mended: in order, counted, once; a halted key goes on behind it."""

import asyncio
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cqrs.cli.dead_letters import show_dead_letters
from cqrs.cli.program import ServiceProgram
from cqrs.cli.redrive import RedriveOrder, redrive_letters
from cqrs.messaging.letter_facts import Selection
from cqrs.messaging.message import Message
from service.settings import COMMANDS, OrderSettings
from tests.scenario import scripted
from tests.scenario.deployment import DEAD_LETTERS, Deployed, deployed, settings_in
from tests.scenario.scripted import do


class OutOfStockException(Exception):
    pass


class BusyException(Exception):
    retryable = True


class Operator:
    """Be who types the commands, beside a running service."""

    def __init__(self, found: Deployed, folder: Path) -> None:
        self._found = found
        self._folder = folder
        self.said = ""

    def program(self) -> ServiceProgram[OrderSettings]:
        servers = self._found.service.bootstrap_servers

        def settings(given: Mapping[str, Any]) -> OrderSettings:
            short: dict[str, object] = {"kafka_session_timeout_ms": 1_010, "kafka_request_timeout_ms": 10_000}
            return settings_in(self._folder, **short, **scripted.SETTINGS, kafka_bootstrap_servers=servers, **given)

        return ServiceProgram("service", "", (), settings, lambda *_: self._found.service, lambda _: ())

    async def redrives(self, **asked: object) -> int:
        given: dict[str, object] = {"confirmed": True, "wait_seconds": 20.0} | asked
        printed = io.StringIO()
        console = Console(file=printed, width=200, color_system=None)
        order = RedriveOrder(**given)  # type: ignore[arg-type]
        code = await asyncio.to_thread(redrive_letters, self.program(), console, order)
        self.said = printed.getvalue()
        return code

    async def lists(self) -> str:
        printed = io.StringIO()
        console = Console(file=printed, width=200, color_system=None)
        await asyncio.to_thread(show_dead_letters, self.program(), console, None, None)
        return printed.getvalue()


def header(message: Message, name: str) -> list[bytes | None]:
    return [value for found, value in message.headers if found == name]


async def commands(found: Deployed, count: int) -> list[Message]:
    return [each.message for each in await found.until(COMMANDS, lambda read: len(read) >= count)]


async def three_letters_of_one_key(found: Deployed) -> None:
    """Send three commands of one key, of which the first one fails until its script is taken away and halts the key."""
    scripted.stage.fails("one", BusyException("not yet"))
    for what in ("one", "two", "three"):
        await do(found, what, key="k")
    await found.letters(3)


@pytest.mark.asyncio
async def test_mended_commands_are_handled_once_and_in_order(tmp_path: Path) -> None:
    names = [f"k{key}-{number}" for number in range(3) for key in range(2)]
    async with deployed(scripted.scripted(tmp_path)) as found:
        stage, operator = scripted.stage, Operator(found, tmp_path)
        for name in names:
            stage.fails(name, OutOfStockException("sold out"))
            await do(found, name, key=name[:2])
        letters = await found.letters(6)
        stage.scripts.clear()  # the reason is mended

        assert await operator.redrives() == 0
        assert "6 to orders.commands" in operator.said
        await stage.until(lambda: len(stage.done) == 6)
        assert await operator.redrives() == 0
        assert "nothing to redrive" in operator.said
        assert "There are no dead letters." in await operator.lists()
        stored = await commands(found, 12)

    assert len(stored) == 12
    for key in ("k0", "k1"):
        assert [each for each in stage.done if each.startswith(key)] == [each for each in names if each.startswith(key)]
    for sent, again, letter in zip(stored[:6], stored[6:], letters, strict=True):
        assert (again.key, again.value, again.partition) == (sent.key, sent.value, sent.partition)
        assert header(again, "ce_id") == header(sent, "ce_id")
        assert header(again, "cqrs-redrive-count") == [b"1"]
        assert header(again, "cqrs-redrive-release") == []
        assert header(again, "cqrs-redrive-traceparent") == header(letter, "traceparent")
        assert header(again, "traceparent") != header(letter, "traceparent")
        assert len(header(again, "traceparent")) == 1
        spring = [each for each in letter.headers if each[0].startswith("kafka_dlt-")]
        assert [each for each in again.headers if each[0].startswith("kafka_dlt-")] == spring


@pytest.mark.asyncio
async def test_what_fails_again_is_counted_and_parked_at_the_limit(tmp_path: Path) -> None:
    async with deployed(scripted.scripted(tmp_path)) as found:
        stage, operator = scripted.stage, Operator(found, tmp_path)
        stage.fails("bad", OutOfStockException("sold out"))
        await do(found, "bad")
        await found.letters(1)
        for number in (1, 2):
            assert await operator.redrives(limit=2) == 0
            letters = await found.letters(number + 1)
            assert header(letters[-1], "cqrs-redrive-count") == [b"%d" % number]
            assert header(letters[-1], "kafka_dlt-original-offset") == [(0).to_bytes(8, "big")]
            assert len({name for name, _ in letters[-1].headers}) == len(letters[-1].headers)

        assert await operator.redrives(limit=2) == 1
        assert "parked     1" in operator.said
        assert len(await commands(found, 3)) == 3
        assert "sent back 2 times" in await operator.lists()
        assert await operator.redrives(limit=2, discard=True, selection=Selection(ids=frozenset({"bad"}))) == 0
        assert "There are no dead letters." in await operator.lists()

    assert stage.begun == ["bad"] * 3


@pytest.mark.asyncio
async def test_a_halted_key_is_redriven_whole_and_goes_on(tmp_path: Path) -> None:
    async with deployed(scripted.scripted(tmp_path, retry_max_attempts=2, retry_exhausted="halt_key")) as found:
        stage, operator = scripted.stage, Operator(found, tmp_path)
        stage.fails("one", BusyException("not yet"))
        stage.fails("apart", OutOfStockException("sold out"))
        for name in ("one", "two", "three"):
            await do(found, name, key="k")
        await do(found, "apart")
        await found.letters(4)
        assert "3 of halted keys" in await operator.lists()
        stage.scripts.clear()

        assert await operator.redrives(selection=Selection(ids=frozenset({"two"}))) == 0
        assert "3 to orders.commands (2 with their halted keys)" in operator.said
        await stage.until(lambda: len(stage.done) == 3)
        await do(found, "four", key="k")
        await stage.until(lambda: len(stage.done) == 4)
        stored = await commands(found, 8)
        assert len(await found.letters(4)) == 4

    assert stage.done == ["one", "two", "three", "four"]
    assert [header(each, "cqrs-redrive-release") for each in stored[4:7]] == [[], [], [b"1"]]


@pytest.mark.asyncio
async def test_what_comes_while_a_key_is_released_follows(tmp_path: Path) -> None:
    async with deployed(scripted.scripted(tmp_path, retry_max_attempts=2, retry_exhausted="halt_key")) as found:
        stage, operator = scripted.stage, Operator(found, tmp_path)
        stage.fails("one", BusyException("not yet"))
        await do(found, "one", key="k")
        await found.letters(1)
        del stage.scripts["one"]
        opened = stage.waits("one")

        redriving = asyncio.create_task(operator.redrives())
        await stage.until(lambda: stage.begun.count("one") == 3)
        await do(found, "two", key="k")  # waits behind the redriven one, so it runs when the key goes on
        await do(found, "three", key="other")
        await stage.until(lambda: "three" in stage.done)
        opened.set()

        assert await redriving == 0
        await stage.until(lambda: "two" in stage.done)
        assert "released" in operator.said

    assert stage.done == ["three", "one", "two"]


@pytest.mark.asyncio
async def test_a_key_that_fails_again_stays_halted_and_is_told(tmp_path: Path) -> None:
    async with deployed(scripted.scripted(tmp_path, retry_max_attempts=2, retry_exhausted="halt_key")) as found:
        stage, operator = scripted.stage, Operator(found, tmp_path)
        stage.fails("one", BusyException("not yet"))
        await do(found, "one", key="k")
        await found.letters(1)

        assert await operator.redrives() == 1
        assert "failed again" in operator.said
        assert "released" not in operator.said
        assert len(await found.letters(2)) == 2
        await do(found, "two", key="k")
        await found.letters(3)

    assert stage.done == []


@pytest.mark.asyncio
async def test_what_stands_behind_one_that_fails_again_waits_for_it(tmp_path: Path) -> None:
    async with deployed(scripted.scripted(tmp_path, retry_max_attempts=2, retry_exhausted="halt_key")) as found:
        stage, operator = scripted.stage, Operator(found, tmp_path)
        await three_letters_of_one_key(found)
        await operator.redrives()
        await found.letters(6)
        assert stage.done == [], "two and three do not run before one"
        stage.scripts.clear()
        assert await operator.redrives() == 0
        await stage.until(lambda: len(stage.done) == 3)
        await do(found, "four", key="k")
        await stage.until(lambda: len(stage.done) == 4)

    assert stage.done == ["one", "two", "three", "four"]


@pytest.mark.asyncio
async def test_what_is_left_of_a_halted_key_goes_on_when_the_first_one_is_discarded(tmp_path: Path) -> None:
    first = Selection(ids=frozenset({"one"}))
    async with deployed(scripted.scripted(tmp_path, retry_max_attempts=2, retry_exhausted="halt_key")) as found:
        stage, operator = scripted.stage, Operator(found, tmp_path)
        await three_letters_of_one_key(found)
        assert await operator.redrives(limit=1) == 1
        await found.letters(6)
        assert await operator.redrives(limit=1) == 1
        assert "parked     1" in operator.said
        assert await operator.redrives(discard=True, selection=first) == 0
        assert await operator.redrives(limit=1) == 0
        await stage.until(lambda: len(stage.done) == 2)
        await do(found, "four", key="k")
        await stage.until(lambda: len(stage.done) == 3)

    assert stage.done == ["two", "three", "four"]


@pytest.mark.asyncio
async def test_a_halted_key_goes_on_when_what_halted_it_is_refused_for_good(tmp_path: Path) -> None:
    async with deployed(scripted.scripted(tmp_path, retry_max_attempts=2, retry_exhausted="halt_key")) as found:
        stage, operator = scripted.stage, Operator(found, tmp_path)
        await three_letters_of_one_key(found)
        for what in ("one", "three"):
            stage.fails(what, OutOfStockException("no longer made"))
        assert await operator.redrives() == 1
        assert "released   1 halted key" in operator.said
        await found.letters(5)
        await do(found, "four", key="k")
        await stage.until(lambda: len(stage.done) == 2)
        assert len(await found.letters(5)) == 5

    assert stage.done == ["two", "four"]


@pytest.mark.asyncio
async def test_a_dry_run_shows_what_would_go_where_and_sends_nothing(tmp_path: Path) -> None:
    async with deployed(scripted.scripted(tmp_path)) as found:
        stage, operator = scripted.stage, Operator(found, tmp_path)
        stage.fails("bad", OutOfStockException("sold out"))
        await do(found, "bad", key="k-7")
        await found.letters(1)
        await do(found, "good")

        assert await operator.redrives(dry_run=True, confirmed=False) == 0
        await stage.until(lambda: stage.done == ["good"])
        assert len(await commands(found, 2)) == 2

    for shown in (f"{DEAD_LETTERS}[0]@0", "t.Do bad", "OutOfStockException", "k-7", f"{COMMANDS}[0]", "time 1"):
        assert shown in operator.said
