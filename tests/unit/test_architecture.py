"""Hold the code to the shape that CONTRIBUTING.md promises; which room imports which stands in pyproject.toml."""

import ast
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONGEST_FUNCTION = 40
LONG_FUNCTION = 25
LONGEST_FILE = 400

REASONS_FOR_LENGTH: dict[str, str] = {
    "cqrs/cli/redrive.py: _Redriving._group": "a line for each option, and one for what it stands for",
    "cqrs/kafka/topic_reader.py: KafkaTopicReader.__init__": "a line for each option and each setting of the client",
    "cqrs/messaging/subscriber.py: Subscriber.__init__": "a line for each option, and one to keep it",
    "cqrs/testing/kafka_server.py: KafkaServer.__init__": "a line for each option, and one to keep it",
    "cqrs/cli/letter_commands.py: _add_redrive.<locals>.redrive": "a line for each option",
    "cqrs/cli/letter_commands.py: _add_redrive": "a line for each option of its command",
    "cqrs/cli/letter_commands.py: _add_discard.<locals>.discard": "a line for each option",
    "cqrs/cli/letter_commands.py: _add_discard": "a line for each option of its command",
    "cqrs/cli/app.py: _add_topics": "a line for each option of its commands",
    "cqrs/cli/operator_commands.py: add_migrate": "a line for each option of its commands",
    "cqrs/command/bus.py: DefaultCommandBus.__init__": "a line for each part that can be given, and one to keep it",
    "cqrs/command/lifecycle.py: Lifecycle.run": "the hooks in their order; a call for some would cost each command",
    "cqrs/decorators.py: command_handler": "a line for each option of the guide, twice: taken and handed on",
    "cqrs/decorators.py: query_handler": "a line for each option of the guide, twice: taken and handed on",
    "cqrs/kafka/consumer.py: KafkaConsumer.__init__": "a line for each option, and one for each setting of the client",
    "cqrs/kafka/producer.py: KafkaProducer.__init__": "a line for each option, and one for each setting of the client",
    "cqrs/query/bus.py: DefaultQueryBus.__init__": "a line for each part that can be given, and one to keep it",
}
"""Every function over 25 lines, by path and name, with the reason why it is not shorter."""


def core() -> frozenset[str]:
    """Return the rooms below `messaging`, as the floors in pyproject.toml have them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    floors: list[str] = next(each["layers"] for each in contracts if each["id"] == "floors")
    below = floors[floors.index("messaging") + 1 :]
    return frozenset(room for floor in below for room in re.findall(r"\w+", floor))


CORE = core()
Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources(*folders: str) -> list[Path]:
    """Return the Python files below these folders of the project, in order."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), filename=str(path))


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield the dotted name of every module that is imported anywhere in `tree`, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, Function]]:
    """Yield every function with its qualified name, nested ones too."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Function):
            yield prefix + node.name, node
            yield from functions(node, f"{prefix}{node.name}.<locals>.")
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")
        else:
            yield from functions(node, prefix)


def length(function: Function) -> int:
    """Count the lines from `def` to the end, the docstring left out."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def is_public(qualified_name: str) -> bool:
    """Say whether users may call it: no part of its name is private; dunder methods are public."""
    parts = qualified_name.split(".")
    return "<locals>" not in parts and all(not part.startswith("_") or part.endswith("__") for part in parts)


def annotations(function: Function) -> Iterator[ast.expr]:
    given = function.args
    for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg):
        if argument is not None and argument.annotation is not None:
            yield argument.annotation
    if function.returns is not None:
        yield function.returns


def says_any(annotation: ast.expr) -> bool:
    """Say whether `Any` stands anywhere in an annotation, quoted ones included."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        annotation = ast.parse(annotation.value, mode="eval").body
    return any(getattr(node, "id", getattr(node, "attr", None)) == "Any" for node in ast.walk(annotation))


def untyped_signatures(tree: ast.AST) -> list[str]:
    return [
        name
        for name, function in functions(tree)
        if is_public(name) and any(says_any(annotation) for annotation in annotations(function))
    ]


def foreign(names: Iterable[str], allowed: Callable[[str], bool]) -> list[str]:
    """Return the imports that are neither of the standard library nor allowed."""
    return [name for name in names if name.split(".")[0] not in sys.stdlib_module_names and not allowed(name)]


def of_core(name: str) -> bool:
    room, _, rest = name.partition(".")
    return room == "cqrs" and rest.split(".")[0] in CORE


def misnamed_exceptions(tree: ast.AST) -> list[str]:
    """Return the classes that derive from an exception and are not called one, the verbs of handlers left out."""
    return [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and any(ast.unparse(base).endswith(("Exception", "Error")) for base in node.bases)
        and not any(ast.unparse(base) == "DeliveryVerdictException" for base in node.bases)
        and not node.name.endswith("Exception")
    ]


@pytest.mark.parametrize(
    ("folder", "allowed"),
    [
        ("service/domain", lambda name: name.startswith("service.domain")),
        (
            "service/application",
            lambda name: name.startswith(("service.domain", "service.application")) or of_core(name),
        ),
        ("cqrs/messaging", lambda name: name.startswith("cqrs.messaging") or of_core(name)),
    ],
)
def test_needs_nothing_but_the_standard_library_and_the_floors_below(
    folder: str, allowed: Callable[[str], bool]
) -> None:
    found = {shown(path): foreign(imported(parse(path)), allowed) for path in sources(folder)}

    assert found
    assert not {path: names for path, names in found.items() if names}


def test_no_public_signature_says_any() -> None:
    found = [
        f"{shown(path)}: {name}" for path in sources("cqrs", "service") for name in untyped_signatures(parse(path))
    ]

    assert not found, "\n".join(found)


def test_functions_are_short_and_the_longer_ones_say_why() -> None:
    lengths = {
        f"{shown(path)}: {name}": length(function)
        for path in sources("cqrs", "service")
        for name, function in functions(parse(path))
    }

    assert not {name: lines for name, lines in lengths.items() if lines > LONGEST_FUNCTION}
    assert {name for name, lines in lengths.items() if lines > LONG_FUNCTION} == set(REASONS_FOR_LENGTH)


def test_files_are_short() -> None:
    lengths = {shown(path): len(path.read_text("utf-8").splitlines()) for path in sources("cqrs", "service", "tests")}

    assert not {path: lines for path, lines in lengths.items() if lines > LONGEST_FILE}


def test_packages_do_no_work_when_they_are_imported() -> None:
    packages = [path for path in sources("cqrs", "service") if path.name == "__init__.py"]

    busy = [shown(path) for path in packages if len(parse(path).body) > (ast.get_docstring(parse(path)) is not None)]
    assert packages
    assert not busy


def test_modules_are_named_for_what_is_in_them() -> None:
    vague = {"util", "utils", "helper", "helpers", "common", "manager", "misc"}

    assert not [shown(path) for path in sources("cqrs", "service", "tests") if path.stem in vague]


def test_exceptions_are_called_exceptions() -> None:
    found = [
        f"{shown(path)}: {name}" for path in sources("cqrs", "service") for name in misnamed_exceptions(parse(path))
    ]

    assert not found


class TestTheChecksThemselves:
    """A check that finds nothing anywhere would pass for ever; each is shown what it must find."""

    def test_any_is_found_wherever_it_hides(self) -> None:
        source = """
def plain(x: Any) -> None: ...
def nested(*rest: dict[str, Any]) -> None: ...
def returned() -> "list[Any]": ...
def qualified(x: typing.Any) -> None: ...
def _private(x: Any) -> None: ...
def outer() -> None:
    def inner(x: Any) -> None: ...
def typed(x: AnyStr) -> object: ...
class Public:
    def method(self, *, x: Any) -> None: ...
class _Private:
    def method(self, x: Any) -> None: ...
"""
        assert untyped_signatures(ast.parse(source)) == ["plain", "nested", "returned", "qualified", "Public.method"]

    def test_a_docstring_does_not_count_as_length(self) -> None:
        ((_, function),) = functions(
            ast.parse('def f(\n    x: int,\n) -> int:\n    """One.\n\n    Two.\n    """\n    return x')
        )

        assert length(function) == 4

    def test_imports_are_found_inside_functions(self) -> None:
        tree = ast.parse(
            "import json\ndef f():\n    from aiokafka.errors import KafkaError\n    import cqrs.kafka.consumer"
        )

        assert foreign(imported(tree), of_core) == ["aiokafka.errors", "cqrs.kafka.consumer"]
        assert foreign(["cqrs.command.bus", "cqrs.types"], of_core) == []

    def test_a_misnamed_exception_is_found(self) -> None:
        tree = ast.parse("class A(ValueError): ...\nclass B(CqrsException): ...\nclass CException(B, Exception): ...")

        assert misnamed_exceptions(tree) == ["A", "B"]
