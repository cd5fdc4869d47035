"""The page that keeps the tables, and how a table is written."""

import os
import platform
import re
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"

PLAIN = "built without --enable-optimizations"
"""A build that images and distributions do not ship; pyenv makes it unless it is told otherwise."""

TITLE = "# What the buses and the whole flow cost"

Line = Sequence[str]
"""The cells of one line."""


def plain_table(head: Line, lines: Sequence[Line]) -> str:
    """Return the table for a terminal."""
    widths = [max(len(line[column]) for line in (head, *lines)) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in (0, len(head) - 1) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in (head, *lines)
    )


def markdown_table(head: Line, lines: Sequence[Line]) -> str:
    """Return the table for a page."""
    rule = ["---", *["---:"] * (len(head) - 2), "---"]
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, rule, *lines))


def with_section(page: str, section: str) -> str:
    """Return the page with `section` in the place of the one with the same heading, or at its end."""
    heading = section.partition("\n")[0]
    parts = [part.strip() for part in re.split(r"^(?=## )", page, flags=re.MULTILINE) if part.startswith("## ")]
    kept = [section.strip() if part.partition("\n")[0] == heading else part for part in parts]
    if section.strip() not in kept:
        kept.append(section.strip())
    return "\n\n".join([TITLE, *kept]) + "\n"


def keep(section: str, page: Path = RESULTS) -> None:
    """Write a section into the page, and leave the others as they are."""
    page.write_text(with_section(page.read_text("utf-8") if page.exists() else "", section), "utf-8")


def machine() -> str:
    """Return the processor, the number of cores and the kind of system."""
    cores = os.cpu_count()
    return f"{_processor()}, {cores} core{'s' if cores != 1 else ''}, {platform.system()}"


def python() -> str:
    """Return the name, the version and the build of the interpreter."""
    return f"{platform.python_implementation()} {platform.python_version()} ({build()})"


def build() -> str:
    """Return how the interpreter was built: a message of ours takes a fifth longer in one that is PLAIN."""
    if "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or ""):
        return "optimized"
    return "the distribution's" if sys.base_prefix == "/usr" else PLAIN


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
