"""Read a Dockerfile into its stages, as far as ours goes."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


@dataclass(frozen=True, slots=True)
class Instruction:
    """Hold one instruction.

    Attributes:
        name: `RUN`, `COPY`, ... in upper case.
        options: What stands before its arguments: `--from=build`.
        text: The rest, its lines joined.
    """

    name: str
    options: tuple[str, ...]
    text: str

    def exec_form(self) -> list[str]:
        """Return the words of an exec form, `["python", "-m", "service"]`."""
        words = json.loads(self.text)
        assert isinstance(words, list), f"{self.name} {self.text} is no exec form"
        return [str(word) for word in words]


@dataclass(slots=True)
class Stage:
    """Hold one stage.

    Attributes:
        base: What it begins with, variables as they are written.
        name: What later stages call it.
        instructions: In order.
    """

    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list[Instruction])

    def the(self, name: str) -> Instruction:
        """Return the one instruction of this name."""
        (found,) = (each for each in self.instructions if each.name == name)
        return found

    def pairs(self, name: str) -> dict[str, str]:
        """Return what the instructions of this name (ENV, LABEL, ARG) say, a value of `ARG NAME` being empty."""
        texts = [each.text for each in self.instructions if each.name == name]
        return {key: value for text in texts for key, value in pairs_in(text)}


def read_dockerfile(path: Path = DOCKERFILE) -> tuple[dict[str, str], list[Stage]]:
    """Return the arguments that stand before the first stage, and the stages."""
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for each in _instructions(path.read_text("utf-8")):
        if each.name == "FROM":
            base, _, name = each.text.partition(" AS ")
            stages.append(Stage(base, name or str(len(stages))))
        elif stages:
            stages[-1].instructions.append(each)
        else:
            arguments |= dict(pairs_in(each.text))
    return arguments, stages


def pairs_in(text: str) -> Iterator[tuple[str, str]]:
    """Yield the pairs of `a=b c="d e"`."""
    for found in re.finditer(r'([\w.]+)(?:=(?:"([^"]*)"|(\S*)))?', text):
        yield found[1], found[2] if found[2] is not None else found[3] or ""


def filled(text: str, values: Mapping[str, str]) -> str:
    """Return `text` with its variables replaced; unknown ones are empty, as in a build."""
    return _VARIABLE.sub(lambda found: values.get(found[1] or found[2], ""), text)


def _instructions(text: str) -> Iterator[Instruction]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        name, _, rest = line.strip().partition(" ")
        if name:
            options = re.match(r"(?:--\S+ +)*", rest)
            assert options is not None
            yield Instruction(name.upper(), tuple(options[0].split()), rest[options.end() :].strip())
