import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from cqrs.cli.dead_letters import show_dead_letters
from cqrs.cli.letter_file import Letter, write_letters
from cqrs.cli.program import ServiceProgram
from cqrs.config.settings import ServiceSettings
from cqrs.exceptions import ConfigurationException
from cqrs.testing.embedded_broker import EmbeddedBroker
from cqrs.testing.outside_client import OutsideClient
from tests.unit.cli.letters import dead_letter_of
from tests.unit.cli.programs import program
from tests.unit.testing.registry_server import registry_server

SCHEMA = '{"type": "record", "name": "R", "fields": [{"name": "a", "type": "string"}]}'
AVRO = b"\x00\x00\x00\x00\x01\x04hi"


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as running:
        for topic in ("cmd", "cmd-dlt", "evt"):
            running.create_topic(topic)
        yield running


def show(shop: ServiceProgram[ServiceSettings], file: Path | None = None, at: str | None = None) -> str:
    printed = io.StringIO()
    show_dead_letters(shop, Console(file=printed, width=80, color_system=None), file, at)
    return printed.getvalue()


@pytest.mark.asyncio
async def test_a_file_is_listed_with_what_to_type_for_one(tmp_path: Path) -> None:
    file = tmp_path / "letters.jsonl"
    write_letters(file, [Letter(await dead_letter_of())])

    printed = show(program(tmp_path), file)

    assert printed.startswith("cmd-dlt:1:0  t.Do  key k-1\n")
    assert printed.endswith(f"-m shop dead-letters --file {file} --at cmd-dlt:1:0\n")


@pytest.mark.asyncio
@pytest.mark.parametrize("at", ["cmd-dlt:1:0", "cmd-dlt[1]@0"])
async def test_one_of_a_file_is_shown_whole(tmp_path: Path, at: str) -> None:
    file = tmp_path / "letters.jsonl"
    write_letters(file, [Letter(await dead_letter_of())])

    assert "stack trace" in show(program(tmp_path), file, at)


@pytest.mark.asyncio
async def test_a_place_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    file = tmp_path / "letters.jsonl"
    write_letters(file, [Letter(await dead_letter_of())] * 12)

    with pytest.raises(ConfigurationException, match=r"no record cmd-dlt:9:9; there are cmd-dlt:1:0.* and 2 more\."):
        show(program(tmp_path), file, "cmd-dlt:9:9")
    with pytest.raises(ConfigurationException, match="--at 'nonsense' names no record"):
        show(program(tmp_path), file, "nonsense")


def test_no_dead_letters_are_good_news(tmp_path: Path, broker: EmbeddedBroker) -> None:
    write_letters(tmp_path / "none.jsonl", [])

    assert show(program(tmp_path), tmp_path / "none.jsonl") == "There are no dead letters.\n"
    assert show(program(tmp_path, kafka_bootstrap_servers=broker.bootstrap_servers)) == "There are no dead letters.\n"


def test_the_broker_is_read_and_avro_is_decoded_with_the_registry(
    tmp_path: Path, broker: EmbeddedBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    with OutsideClient(broker.bootstrap_servers, None) as client:
        client.send_raw("cmd-dlt", AVRO, key="k-9")
    with registry_server(SCHEMA) as url:
        shop = program(tmp_path, kafka_bootstrap_servers=broker.bootstrap_servers, schema_registry_url=url)
        listed, whole = show(shop), show(shop, at="cmd-dlt:0:0")
    dumped = show(program(tmp_path, kafka_bootstrap_servers=broker.bootstrap_servers), at="cmd-dlt:0:0")

    away = program(tmp_path, kafka_bootstrap_servers=broker.bootstrap_servers, schema_registry_url=url)
    assert show(away, at="cmd-dlt:0:0") == dumped
    assert "not decoded: schema registry is unavailable" in capsys.readouterr().err
    assert listed.startswith("cmd-dlt:0:0  no type in the headers  key k-9\n")
    assert '"a": "hi"' in whole
    assert "000000  00 00 00 00 01 04 68 69" in dumped


def test_without_a_broker_it_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationException, match=r"-m shop run"):
        show(program(tmp_path))
