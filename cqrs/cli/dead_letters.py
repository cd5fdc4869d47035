"""Look at dead letters, of the running broker or of a file."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from cqrs.cli.addresses import find_cluster
from cqrs.cli.letter_file import Letter, read_letters
from cqrs.cli.letter_standing import counted, standings_of
from cqrs.cli.places import Place
from cqrs.cli.program import S, ServiceProgram
from cqrs.cli.record_views import letter_list, letter_view
from cqrs.cli.terminal import errors, invocation
from cqrs.config.settings import ServiceSettings
from cqrs.exceptions import ConfigurationException, DependencyUnavailableException
from cqrs.messaging.message import Message
from cqrs.messaging.redrive import LIMIT
from cqrs.testing.outside_avro import registry_use
from cqrs.testing.outside_client import OutsideClient
from cqrs.testing.outside_security import outside_options

_HOW_TO_SEE_ALL = "dead-letters list --all"


def show_dead_letters(
    program: ServiceProgram[S],
    console: Console,
    file: Path | None,
    at: str | None,
    *,
    settled: bool = False,
    limit: int = LIMIT,
) -> None:
    """Show one dead letter whole, or list those that are outstanding.

    Args:
        program: The service.
        console: Where to.
        file: A file of dead letters; None reads the broker.
        at: The place of the one to show; None lists.
        settled: Whether to list also those that were redriven or discarded.
        limit: How often a letter is sent back before it counts as parked.

    Raises:
        ConfigurationException: there is no such file, broker or record; says what to try.
        DependencyUnavailableException: the broker is away.
    """
    wanted = _place(at)
    if wanted is not None:
        letters = read_letters(file) if file is not None else _from_broker(program, [wanted.topic], wanted)
        console.print(letter_view(_found(letters, wanted)))
    elif file is not None:
        _list(program, console, read_letters(file), (), f" --file {file}")
    else:
        _list_standing(program, console, settled=settled, limit=limit)


def _list_standing(program: ServiceProgram[S], console: Console, *, settled: bool, limit: int) -> None:
    settings = program.settings({})
    bootstrap_servers, _ = find_cluster(settings, f"{invocation(program.module)} run")
    letters = _from_broker(program, _letter_topics(settings), None)
    standings = standings_of(settings, bootstrap_servers, letters, limit) if letters else []
    shown = [each for each in standings if settled or not each.is_settled]
    _list(program, console, [each.letter for each in shown], [each.mark for each in shown], "")
    if standings:
        hidden = "" if len(shown) == len(standings) else f"; `{_HOW_TO_SEE_ALL}` lists the settled ones too"
        console.print(Text(f"{counted(standings)}{hidden}", style="dim"), soft_wrap=True)


def _list(
    program: ServiceProgram[S], console: Console, letters: Sequence[Letter], marks: Sequence[str], source: str
) -> None:
    if not letters:
        console.print("There are no dead letters.")
        return
    console.print(letter_list(letters, marks))
    look = f"{invocation(program.module)} dead-letters{source} --at {Place.of(letters[0].message)}"
    console.print(Text.assemble(("to look at one: ", "dim"), look), soft_wrap=True)


def _from_broker(program: ServiceProgram[S], topics: Sequence[str], wanted: Place | None) -> list[Letter]:
    settings = program.settings({})
    bootstrap_servers, registry_url = find_cluster(settings, f"{invocation(program.module)} run")
    secured = outside_options(settings)
    with OutsideClient(bootstrap_servers, None, options=secured) as client:  # without a registry: nothing is decoded
        messages = [received.message for received in client.read(topics)]
    if wanted is None:
        return [Letter(message) for message in messages]
    use = registry_use(settings)
    with OutsideClient(bootstrap_servers, registry_url, options=secured, registry_use=use) as client:  # but for one
        return [
            Letter(message, _schema(client, message) if Place.of(message) == wanted else None) for message in messages
        ]


def _schema(client: OutsideClient, message: Message) -> str | None:
    try:
        return client.schema_of(message)
    except DependencyUnavailableException as error:
        errors().print(Text(f"not decoded: {error}"), soft_wrap=True)
        return None


def _letter_topics(settings: ServiceSettings) -> list[str]:
    return [topic + settings.dead_letter_suffix for topic in settings.all_command_topics]


def _place(text: str | None) -> Place | None:
    try:
        return Place.parse(text) if text is not None else None
    except ValueError as error:
        raise ConfigurationException([f"--at {error}"]) from None


def _found(letters: Sequence[Letter], wanted: Place) -> Letter:
    for letter in letters:
        if Place.of(letter.message) == wanted:
            return letter
    known = ", ".join(str(Place.of(letter.message)) for letter in letters[:10]) or "none"
    more = f" and {len(letters) - 10} more" if len(letters) > 10 else ""
    raise ConfigurationException([f"There is no record {wanted}; there are {known}{more}."])
