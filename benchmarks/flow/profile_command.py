"""x."""

import argparse


def add_options(reader: argparse.ArgumentParser) -> None:
    """Say what can be chosen."""


def measure(chosen: argparse.Namespace) -> int:
    """Measure."""
    return 0
