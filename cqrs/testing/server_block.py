"""What every server of the kit has in common: a block begins with it started and ends with nothing left of it."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class ServerBlock(ABC):
    """Be a server that a `with` block starts and closes."""

    @abstractmethod
    def start(self) -> None:
        """Start it, and return once it answers; harmless when it runs."""

    @abstractmethod
    def close(self) -> None:
        """End it and delete its files; harmless when called again."""

    def __enter__(self) -> Self:
        """Start, and return itself; without a start, nothing is left over."""
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()
