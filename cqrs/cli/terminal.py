"""Where commands print, how they fail, and how they name themselves."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import typer
from rich.console import Console
from rich.text import Text

from cqrs.cli.text import printable
from cqrs.exceptions import ConfigurationException, CqrsException

REFUSED = 1
"""The exit code of a command that came out otherwise than it should."""

UNUSABLE = 2
"""The exit code of wrong usage or settings, and of a broker or registry that is away."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


def output() -> Console:
    """Return the console of standard output: plain text of 80 columns where it is not a terminal."""
    return Console(highlight=False, emoji=False, markup=False)


def errors() -> Console:
    """Return the console of standard error."""
    return Console(stderr=True, highlight=False, emoji=False, markup=False)


@contextmanager
def explained_failures() -> Iterator[None]:
    """Print what this package raises, or a full disk, as sentences without a traceback; end with exit code 2.

    Raises:
        typer.Exit: something was raised and has been explained.
    """
    try:
        yield
    except ConfigurationException as error:
        _explain(error.problems)
        raise typer.Exit(UNUSABLE) from None
    except CqrsException as error:
        _explain((str(error),))
        raise typer.Exit(UNUSABLE) from None
    except OSError as error:
        if error.errno not in _FULL or error.filename is not None:
            raise
        _drop_pending(sys.stdout)
        _explain((f"what there is to say cannot be written: {error.strerror}",))
        raise typer.Exit(UNUSABLE) from None


def invocation(module: str) -> str:
    """Return what a person types to start this program again, from the same directory."""
    return f"{_python()} -m {module}"


def _drop_pending(stream: TextIO) -> None:
    """Give up what `stream` could not write, which Python would try again at its end, with a traceback."""
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _explain(problems: tuple[str, ...]) -> None:
    from cqrs.config.listing import masked  # brings pydantic, which `--help` need not wait for

    console = errors()
    for problem in problems:
        console.print(Text.assemble(("error: ", "bold red"), printable(masked(problem))), soft_wrap=True)


def _python() -> str:
    """Name the interpreter: `python` in an activated environment, else its path, relative where that is shorter."""
    if os.environ.get("VIRTUAL_ENV") == sys.prefix or not sys.executable:
        return "python"
    executable = Path(sys.executable)
    return str(executable.relative_to(Path.cwd()) if executable.is_relative_to(Path.cwd()) else executable)
