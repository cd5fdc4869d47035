"""The commands around dead letters, on an embedded broker without a service: what is asked, shown, done and told."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer
from rich.console import Console
from typer.testing import CliRunner

from cqrs.cli.app import command_line
from cqrs.cli.dead_letters import show_dead_letters
from cqrs.cli.redrive import RedriveOrder, redrive_letters
from cqrs.exceptions import ConfigurationException
from cqrs.messaging.dead_letter_headers import REDRIVE_COUNT
from cqrs.messaging.letter_facts import Selection
from cqrs.messaging.message import Headers, Message, TopicPartition
from cqrs.testing.embedded_broker import EmbeddedBroker
from cqrs.testing.outside_client import OutsideClient
from tests.unit.cli.programs import program
from tests.unit.messaging.redrive_letters import letter_headers


class Shop:
    """Hold two groups, each with a command topic, and the letters of both."""

    def __init__(self, broker: EmbeddedBroker, state: Path) -> None:
        self.broker = broker
        self.program = program(
            state,
            kafka_bootstrap_servers=broker.bootstrap_servers,
            kafka_session_timeout_ms=1_010,
            command_topics=("cmd", "pay"),
            command_groups={"shop": ("cmd",), "till": ("pay",)},
            topics={"cmd": 1, "pay": 1},
        )

    def put(self, topic: str, *headers: Headers, key: str = "k") -> None:
        with OutsideClient(self.broker.bootstrap_servers, None) as client:
            for each in headers:
                client.send_raw(topic, b"v", key=key, headers=each)

    def redrives(self, **asked: object) -> tuple[int, str]:
        printed = io.StringIO()
        order = RedriveOrder(**({"confirmed": True, "wait_seconds": 0.0} | asked))  # type: ignore[arg-type]
        code = redrive_letters(self.program, Console(file=printed, width=200, color_system=None), order)
        return code, printed.getvalue()

    def lists(self, *, settled: bool = False, limit: int = 3) -> str:
        printed = io.StringIO()
        console = Console(file=printed, width=200, color_system=None)
        show_dead_letters(self.program, console, None, None, settled=settled, limit=limit)
        return printed.getvalue()

    def records(self, topic: str) -> list[Message]:
        with OutsideClient(self.broker.bootstrap_servers, None) as client:
            return [each.message for each in client.read([topic])]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with EmbeddedBroker() as broker:
        for topic in ("cmd", "cmd-dlt", "pay", "pay-dlt", "evt"):
            broker.create_topic(topic)
        yield Shop(broker, tmp_path)


def test_each_group_redrives_its_own_letters_and_keeps_its_own_books(shop: Shop) -> None:
    shop.put("cmd-dlt", letter_headers(0), letter_headers(1))
    shop.put("pay-dlt", letter_headers(0, topic="pay", group="till"))

    assert shop.redrives(selection=Selection(topics=frozenset({"pay"}))) == (0, "redriven   1 to pay\n")
    assert shop.redrives() == (0, "redriven   2 to cmd\n")
    assert shop.redrives() == (0, "There is nothing to redrive.\n")
    assert [len(shop.records(topic)) for topic in ("cmd", "pay")] == [2, 1]


def test_what_is_left_is_told_with_its_reason(shop: Shop) -> None:
    shop.put("cmd-dlt", letter_headers(0), (("ce_id", b"foreign"),), letter_headers(2, count=3))
    code, said = shop.redrives()

    assert code == 1
    assert said.splitlines() == [
        "redriven   1 to cmd",
        "parked     1: sent back too often; mend the reason and raise --limit",
        "left       1: it does not say which topic it came from",
        "           cmd-dlt[0]@1",
    ]
    assert shop.redrives(limit=4)[0] == 1
    assert [dict(each.headers)[REDRIVE_COUNT] for each in shop.records("cmd")] == [b"1", b"4"]


def test_the_listing_says_how_each_letter_stands(shop: Shop) -> None:
    shop.put("cmd-dlt", letter_headers(0), letter_headers(1, count=3))
    shop.put("cmd-dlt", letter_headers(2, halted=b"first"), letter_headers(3, group="other"), key="h")
    shop.redrives(selection=Selection(offsets=frozenset({0})))
    listed, everything = shop.lists(), shop.lists(settled=True)

    assert [line for line in listed.splitlines() if line.startswith("cmd-dlt")] == [
        "cmd-dlt:0:1  t.Do  key k  parked, sent back 3 times",
        "cmd-dlt:0:2  t.Do  key h  halted key",
        "cmd-dlt:0:3  t.Do  key h  of group other",
    ]
    assert "2 outstanding, 1 parked, 1 of halted keys, 1 settled, 1 of other groups" in listed
    assert "`dead-letters list --all` lists the settled ones too" in listed
    assert "cmd-dlt:0:0  t.Do  key k  settled" in everything
    assert "parked" not in shop.lists(limit=4).splitlines()[2]


def test_a_dry_run_shows_and_does_nothing(shop: Shop) -> None:
    shop.put("cmd-dlt", letter_headers(0), letter_headers(1, halted=b"first"), letter_headers(2, halted=b"follower"))
    shop.put("cmd-dlt", letter_headers(3, group="other"), letter_headers(4, count=3), key="z")
    code, said = shop.redrives(dry_run=True, confirmed=False, selection=Selection(offsets=frozenset({1, 3, 4})))

    assert code == 1
    assert [line.split()[0] for line in said.splitlines()[:4]] == ["letter", *(f"cmd-dlt[0]@{at}" for at in (1, 2, 4))]
    assert "cmd[0] (time 1, with its halted key, releases its key)" in said
    assert "parked: sent back 3 times; the limit is 3" in said
    assert "1 letter not chosen: of a halted key all go together" in said
    assert "1 letter put aside by other groups than shop: not touched." in said
    assert shop.records("cmd") == []
    nothing = shop.redrives(dry_run=True, selection=Selection(offsets=frozenset({9})))
    assert (nothing[0], nothing[1].splitlines()[-1]) == (0, "There is nothing to redrive.")


def test_old_letters_of_a_group_that_has_noted_nothing_may_have_been_redriven_before(shop: Shop) -> None:
    producer = Producer({"bootstrap.servers": shop.broker.bootstrap_servers})
    for at in range(2):
        producer.produce("cmd-dlt", b"v", headers=list(letter_headers(at)), timestamp=1_700_000_000_000)
    assert producer.flush(10) == 0

    warning = "the brokers have forgotten it (offsets.retention.minutes): choose with --newer"
    assert warning in shop.redrives(dry_run=True)[1]
    assert warning in shop.redrives(selection=Selection(offsets=frozenset({0})))[1]
    assert shop.redrives() == (0, "redriven   1 to cmd\n")


def test_nobody_is_there_to_be_asked(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.put("cmd-dlt", letter_headers(0))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(ConfigurationException, match="say --yes"):
        shop.redrives(confirmed=False)
    assert shop.records("cmd") == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "sent"), [("y\n", 1), ("n\n", 0)])
def test_a_person_is_asked_and_what_came_since_is_not_meant(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, answer: str, sent: int
) -> None:
    shop.put("cmd-dlt", letter_headers(0))

    def confirm(text: str, *, abort: bool) -> None:
        assert text == "Redrive 1 letter?"
        shop.put("cmd-dlt", letter_headers(1))
        if answer == "n\n":
            raise KeyboardInterrupt

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("typer.confirm", confirm)
    try:
        assert shop.redrives(confirmed=False)[0] == 0
    except KeyboardInterrupt:
        assert answer == "n\n"
    assert len(shop.records("cmd")) == sent


def test_discarding_settles_and_sends_nothing(shop: Shop) -> None:
    shop.put("cmd-dlt", letter_headers(0), letter_headers(1))
    chosen = Selection(ids=frozenset({"id-0"}))

    code, said = shop.redrives(discard=True, dry_run=True, selection=chosen)
    assert (code, "nowhere: it counts as settled" in said) == (0, True)
    assert shop.redrives(discard=True, selection=chosen) == (0, "discarded  1: settled without being sent\n")
    assert shop.redrives(discard=True, selection=chosen) == (0, "There is nothing to discard.\n")
    assert shop.redrives() == (0, "redriven   1 to cmd\n")


def test_a_topic_that_is_none_of_the_services_is_named(shop: Shop) -> None:
    with pytest.raises(
        ConfigurationException, match="no dead letters of other; it has those of cmd, cmd-dlt, pay, pay-dlt"
    ):
        shop.redrives(selection=Selection(topics=frozenset({"other"})))
    with pytest.raises(ConfigurationException, match="no dead letters of evt"):
        shop.redrives(selection=Selection(places=frozenset({(TopicPartition("evt", 0), 1)})))


def test_topics_that_are_not_there_yet_have_no_letters(tmp_path: Path) -> None:
    with EmbeddedBroker() as broker:
        assert Shop(broker, tmp_path).redrives() == (0, "There is nothing to redrive.\n")


def run(shop: Shop, *words: str) -> tuple[int, str]:
    answer = CliRunner().invoke(command_line(shop.program), ["dead-letters", *words])
    return answer.exit_code, answer.output


def test_the_command_line_names_the_letters(shop: Shop) -> None:
    shop.put("cmd-dlt", letter_headers(0), letter_headers(1), letter_headers(2))

    assert run(shop, "redrive", "--yes", "--at", "cmd-dlt:0:2", "--error", "TimeoutError")[0] == 0
    assert run(shop, "discard", "--yes", "--id", "id-0")[0] == 0
    code, listed = run(shop, "list")
    assert (code, listed.splitlines()[0]) == (0, "cmd-dlt:0:1  t.Do  key k")
    assert run(shop)[1] == listed
    assert run(shop, "--at", "cmd-dlt:0:1")[1].startswith("cmd-dlt[0]@1\n")
    assert run(shop, "redrive", "--yes", "--older", "1h") == (0, "There is nothing to redrive.\n")


def test_the_command_line_refuses_what_cannot_be(shop: Shop, tmp_path: Path) -> None:
    code, said = run(shop, "redrive", "--file", str(tmp_path / "letters.jsonl"))
    assert (code, "is what `demo` kept of a broker that has ended" in said) == (2, True)
    code, said = run(shop, "discard", "--yes")
    assert (code, "Say which letters to discard" in said) == (2, True)
    assert run(shop, "--at", "cmd-dlt:0:1", "redrive")[0] == 2
