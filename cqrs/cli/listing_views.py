"""List settings and handlers."""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from cqrs.cli.handlers import HandlerLine
from cqrs.cli.text import one_line
from cqrs.config.listing import Setting


def settings_list(settings: Iterable[Setting]) -> RenderableType:
    """Show every setting: its environment name and value, what it does and its default; changed ones stand out."""
    return Group(*(_setting(each) for each in settings))


def handlers_list(handlers: Sequence[HandlerLine]) -> RenderableType:
    """Show every handler: what it handles, what it is for, where its events go, its tags."""
    return Group(*(part for line in handlers for part in _handler(line)))


def _setting(setting: Setting) -> RenderableType:
    changed = setting.value != setting.default
    line = Text.assemble((setting.environment, "bold"), " = ", (one_line(setting.value), "yellow" if changed else ""))
    default = f"; default: {one_line(setting.default) or 'empty'}" if changed else ""
    return Group(line, Padding(Text(f"{setting.help}{default}", style="dim"), (0, 0, 0, 4), expand=False))


def _handler(line: HandlerLine) -> Iterator[RenderableType]:
    title = Text.assemble((f"{line.kind:<8}", "dim"), (line.name, "bold"))
    if line.aliases:
        title.append(f" (also {', '.join(line.aliases)})", style="dim")
    yield title
    events = f"; its events go to {line.destination}" if line.destination else ""
    tags = f"tags: {', '.join(line.tags)}" if line.tags else ""
    facts = (line.description, f"{line.handler}{events}", tags)
    yield from (Padding(Text(fact, style="dim"), (0, 0, 0, 8), expand=False) for fact in facts if fact)
