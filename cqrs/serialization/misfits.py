"""What does not fit, and where: collected, so that a sender learns everything at once."""

from collections.abc import Sequence

_SHOWN = 20


class MisfitException(ValueError):
    """Carry (path, sentence) pairs up to where they are reported."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        self.problems = tuple(problems)
        super().__init__(describe(self.problems))


def misfit(sentence: str) -> MisfitException:
    """Make a misfit of the value itself."""
    return MisfitException([("", sentence)])


def below(step: str, error: MisfitException) -> list[tuple[str, str]]:
    """Return the problems of `error` as seen from one level up; `step` is `name` or `[index]`."""
    return [(join(step, path), sentence) for path, sentence in error.problems]


def join(step: str, path: str) -> str:
    """Join two steps of a path: `items` and `[0].sku` make `items[0].sku`."""
    return step + path if not path or path.startswith("[") else f"{step}.{path}"


def describe(problems: Sequence[tuple[str, str]]) -> str:
    """Return all problems as one text, `path: sentence` each; past twenty only their number."""
    shown = "; ".join(f"{path}: {sentence}" if path else sentence for path, sentence in problems[:_SHOWN])
    rest = len(problems) - _SHOWN
    return f"{shown}; and {rest} more" if rest > 0 else shown


def kind(value: object) -> str:
    """Name a value's type in a sentence, without its content: what a message holds may be secret, or huge."""
    return "null" if value is None else type(value).__name__
