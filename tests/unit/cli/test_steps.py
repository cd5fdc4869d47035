import io
import re
import time

import pytest
from rich.console import Console

from cqrs.cli.steps import Steps

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


def steps(file: io.StringIO, *, terminal: bool) -> Steps:
    return Steps(Console(file=file, force_terminal=terminal, width=80), time.monotonic() - 100)


def test_a_finished_step_is_one_plain_line_with_the_time() -> None:
    file = io.StringIO()

    with steps(file, terminal=False).step("sending [3]"):
        assert file.getvalue() == ""

    assert re.fullmatch(r"100\.\d s  sending \[3\]\n", file.getvalue())


def test_a_terminal_has_a_spinner_that_gives_the_cursor_back() -> None:
    file = io.StringIO()

    with steps(file, terminal=True).step("sending"):
        assert HIDE_CURSOR in file.getvalue()

    assert SHOW_CURSOR in file.getvalue()
    assert file.getvalue().endswith("sending\n")


def test_a_step_that_raises_is_not_told_as_finished() -> None:
    file = io.StringIO()

    with pytest.raises(ZeroDivisionError), steps(file, terminal=False).step("sending"):
        raise ZeroDivisionError

    assert file.getvalue() == ""
