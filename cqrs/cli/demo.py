"""Run a service on an embedded broker, send it commands from outside, and show what becomes of each."""

import asyncio
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.text import Text

from cqrs.cli.letter_file import Letter, write_letters
from cqrs.cli.outcome_views import Played, event_list, outcome_table, refusal_list
from cqrs.cli.program import S, ServiceProgram
from cqrs.cli.steps import Steps
from cqrs.cli.terminal import REFUSED, invocation
from cqrs.cli.trace_view import trace_view
from cqrs.exceptions import ConfigurationException, DependencyUnavailableException
from cqrs.runtime import Service
from cqrs.telemetry.span_memory import SpanMemory, span_tree
from cqrs.testing.outside_client import OutsideClient

FOLDER = Path(".local/demo")
LETTERS = FOLDER / "dead-letters.jsonl"
OUTCOME_SECONDS = 20.0
READY_SECONDS = 20.0

_EMBEDDED: dict[str, object] = {
    "kafka_bootstrap_servers": None,
    "schema_registry_url": None,
    "database_url": None,
    "management_port": 0,
}


def run_demo(program: ServiceProgram[S], steps: Steps, log_level: str) -> int:
    """Run the demo and return its exit code: 0 when every command ended as it declares, else 1.

    Args:
        program: The service.
        steps: Tells how far it is, and knows where to print.
        log_level: The least severe level of the service's own log lines that is shown.

    Raises:
        ConfigurationException: the service cannot be started; shows every problem.
        DependencyUnavailableException: the embedded broker or registry did not answer in time.
    """
    with _own_folder() as state:
        settings = program.settings({**_EMBEDDED, "state_path": Path(state), "log_level": log_level})
        spans = SpanMemory()
        played = asyncio.run(_play(program, settings, spans, steps))
    _show(program, steps.console, played, spans)
    return _verdict(steps.console, played, steps.seconds)


def _own_folder() -> tempfile.TemporaryDirectory[str]:
    """Make a folder for this run, so that it can run again and again, and beside a running service."""
    try:
        FOLDER.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(prefix="run-", dir=FOLDER)
    except OSError as error:
        problem = f"{FOLDER} cannot be written: {error.strerror}; start the demo in a directory where it may keep files"
        raise ConfigurationException([problem]) from error


async def _play(program: ServiceProgram[S], settings: S, spans: SpanMemory, steps: Steps) -> list[Played]:
    with steps.step("starting the broker, the schema registry, the database and the service"):
        service = program.service(settings, spans)
        await service.start()
    try:
        with steps.step("waiting for partitions"):
            await _ready(service)
        played = await asyncio.to_thread(_act, program, service, steps)
        with steps.step("stopping the service"):
            await service.stop()
        return played
    finally:
        await service.stop()


async def _ready(service: Service) -> None:
    try:
        async with asyncio.timeout(READY_SECONDS):
            await service.ready()
    except TimeoutError:
        detail = f"the service got no partitions within {READY_SECONDS:g} s; --log-level INFO shows why"
        raise DependencyUnavailableException("kafka", detail) from None


def _act(program: ServiceProgram[S], service: Service, steps: Steps) -> list[Played]:
    """Be the outside: send every command, read what became of it, and keep the dead letters."""
    settings = service.settings
    commands = program.demo(settings.schemas_path)
    topics = [topic for topic in settings.topics if topic not in settings.all_command_topics]
    target, suffix = settings.all_command_topics[0], settings.dead_letter_suffix
    with (
        OutsideClient(service.bootstrap_servers, service.registry_url, tracer=service.tracer) as client,
        client.reader(topics) as reader,
    ):
        with steps.step(f"sending {len(commands)} commands to {target}"), ThreadPoolExecutor(1) as sender:
            sending = sender.submit(lambda: [command.send(client, target) for command in commands])
            while not sending.done():  # read meanwhile, so that a trace shows how soon an event is there
                reader.poll()
            sent = sending.result()
        with steps.step(f"reading {' and '.join(topics)}"):
            outcomes = reader.outcomes(
                [one.id for one in sent], timeout_seconds=OUTCOME_SECONDS, dead_letter_suffix=suffix
            )
        letters = [outcome.dead_letter for outcome in outcomes if outcome.dead_letter is not None]
        write_letters(LETTERS, [Letter(letter, client.schema_of(letter)) for letter in letters])
    numbered = enumerate(zip(commands, sent, outcomes, strict=True), 1)
    return [Played(number, *parts) for number, parts in numbered]


def _show(program: ServiceProgram[S], console: Console, played: Sequence[Played], spans: SpanMemory) -> None:
    _title(console, "What became of each command, as an outside client sees it")
    console.print(outcome_table(played))
    _title(console, "The events, read by confluent-kafka with the schemas that the registry served")
    console.print(event_list([event for each in played for event in each.outcome.events]))
    handled = [each for each in played if each.outcome.events and each.sent.trace_id is not None]
    for each in handled[-1:]:
        _title(console, f"The trace of command {each.number}, from its sender to the reader of its event")
        trace_id = each.sent.trace_id or ""
        console.print(trace_view(trace_id, span_tree(spans.trace(trace_id))))
    _title(console, "The refused commands, each kept whole with its cause")
    console.print(refusal_list(played, look_command(program.module)))


def look_command(module: str) -> str:
    """Return what to type to look at the demo's dead letters, in two lines that a shell reads as one."""
    return f"{invocation(module)} dead-letters \\\n  --file {LETTERS}"


def _verdict(console: Console, played: Sequence[Played], seconds: float) -> int:
    contradictions = [(each, why) for each in played if (why := each.command.expected.contradiction(each.outcome))]
    for each, why in contradictions:
        text = f"command {each.number} ({each.command.type_name}, {each.command.case}): {why}"
        console.print(Text.assemble(("not as expected: ", "bold red"), text))
    refused = sum(each.outcome.dead_letter is not None for each in played)
    handled = sum(bool(each.outcome.events) for each in played)
    verdict = "" if contradictions else ", each as it should be"
    console.print()
    console.print(Text(f"{len(played)} commands: {handled} handled, {refused} refused{verdict} ({seconds:.1f} s)"))
    return REFUSED if contradictions else 0


def _title(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold"))
