"""What the command lines of both benchmarks share."""

import argparse


def positive(text: str) -> int:
    """Read a number above 0.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def add_outcome(reader: argparse.ArgumentParser) -> None:
    """Add what is done with the table, and who is left out of it."""
    reader.add_argument("--own", action="store_true", help="leave the other libraries out; nothing is installed then")
    reader.add_argument("--check", action="store_true", help="exit with 1 when a ratio misses its goal")
    reader.add_argument("--write", action="store_true", help="write the table into benchmarks/RESULTS.md")
