"""What a person would read: renderables as plain text."""

from rich.console import Console, RenderableType


def rendered(renderable: RenderableType, width: int = 80) -> str:
    """Return what is printed where there is no terminal, line ends without trailing spaces."""
    console = Console(width=width, force_terminal=False, color_system=None, markup=False, emoji=False, highlight=False)
    with console.capture() as capture:
        console.print(renderable)
    lines = capture.get().splitlines()
    assert all(len(line) <= width for line in lines)
    return "\n".join(line.rstrip() for line in lines)
