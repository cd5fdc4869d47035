"""The port of the transaction that a command runs in; `cqrs.sql` implements it with SQLAlchemy."""

from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Protocol


class UnitOfWork(Protocol):
    """Open the transaction in which a handler writes and after whose published events it commits."""

    def begin(self) -> AbstractAsyncContextManager[None]:
        """Open a unit of work: leaving the block commits it, an exception rolls it back.

        Inside an open one it joins as a savepoint, so that a nested command that fails undoes only itself.

        Raises:
            DependencyUnavailableException: the database cannot be reached.
        """
        ...


class NoUnitOfWork:
    """Run commands that keep no state in a database."""

    def begin(self) -> AbstractAsyncContextManager[None]:
        """Open nothing."""
        return nullcontext()
