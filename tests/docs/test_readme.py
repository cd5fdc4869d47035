"""The README says what is true: its settings are the code's, its tests exist, its commands are the schemas'."""

import ast
import json
import re
from pathlib import Path

import pytest
from starlette.routing import Route

from cqrs.cli.app import command_line
from cqrs.http.management import ManagementSources, management_app
from service.__main__ import PROGRAM
from tests.docs.settings_table import BEGIN, END, settings_table

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = sorted((ROOT / "schemas" / "commands").glob("*.avsc"))


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def names_of_tests(path: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_")
    }


def fields(schema: Path) -> set[str]:
    return {field["name"] for field in json.loads(schema.read_text("utf-8"))["fields"]}


def test_the_settings_are_those_of_the_code() -> None:
    table = README.partition(BEGIN)[2].partition(END)[0].strip()

    assert table == settings_table(), "run `make docs` and commit README.md"


def test_every_test_that_it_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", README)

    assert named
    assert not [f"{path}::{name}" for path, name in named if name not in names_of_tests(ROOT / path)]


def test_every_promise_names_a_test() -> None:
    section = README.partition("\n## What it promises\n")[2].partition("\n## ")[0]
    promises = [line for line in section.splitlines() if line.startswith("| ")][1:]

    assert promises
    assert not [promise for promise in promises if not re.search(r"`tests/[\w/]+\.py(::\w+)?` \|$", promise)]


@pytest.mark.parametrize("schema", COMMANDS, ids=lambda path: path.stem)
def test_it_shows_every_command_with_its_fields(schema: Path) -> None:
    row = next(line for line in README.splitlines() if line.startswith(f"| `{schema.stem}`"))

    assert fields(schema) <= set(re.findall(r"\w+", row))


def test_its_json_commands_have_the_fields_of_their_schemas() -> None:
    known = {schema.stem: fields(schema) for schema in COMMANDS}
    examples = [json.loads(block) for block in blocks("json")]

    assert examples
    for example in examples:
        data = example.get("data", example)
        assert set(data) == known[example.get("type", "orders.CreateOrder")]


def test_the_commands_of_the_service_that_it_names_exist() -> None:
    named = set(re.findall(r"-m service ([a-z][\w-]*)", README))
    app = command_line(PROGRAM)
    known = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    known |= {str(group.name) for group in app.registered_groups}

    assert {"run", "demo", "send"} <= named <= known


def test_it_lists_the_paths_that_are_served() -> None:
    nothing = ManagementSources(lambda accept: (b"", "text/plain"), dict, dict)
    served = {route.path for route in management_app(nothing).routes if isinstance(route, Route)}

    assert set(re.findall(r"^\| `(/[\w/]+)` \|", README, flags=re.MULTILINE)) == served
