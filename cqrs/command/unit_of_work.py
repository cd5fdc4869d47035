"""The port of the transaction that a command runs in; `cqrs.sql` implements it with SQLAlchemy."""

from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Protocol

from cqrs.exceptions import CqrsException, is_retryable


class UnitOfWorkException(CqrsException):
    """Report a transaction that cannot do what is asked of it; `retryable` is the cause's own word.

    Args:
        message: What is wrong, and what to do.
        cause: What stands in the way of the commit, or None.
    """

    def __init__(self, message: str, cause: Exception | None = None) -> None:
        super().__init__(message)
        self.cause = cause
        self.retryable = is_retryable(cause)


class UnitOfWork(Protocol):
    """Open the transaction in which a handler writes and after whose published events it commits."""

    def begin(self) -> AbstractAsyncContextManager[None]:
        """Open a unit of work: leaving the block commits it, an exception rolls it back.

        Inside an open one it joins as a savepoint, so that a nested command that fails undoes only itself.

        Raises:
            DependencyUnavailableException: the database cannot be reached.
        """
        ...

    async def prepare(self) -> None:
        """Write what is pending, and find out whether the open transaction can still commit.

        The bus asks once the handler has returned, before anybody sees the command's events.

        Raises:
            UnitOfWorkException: it cannot, though the handler caught the error that tells why.
            DependencyUnavailableException, BrokenOffException: the transaction is to be run again.
            Exception: what is pending was refused.
        """
        ...


class NoUnitOfWork:
    """Run commands that keep no state in a database."""

    def begin(self) -> AbstractAsyncContextManager[None]:
        """Open nothing."""
        return nullcontext()

    async def prepare(self) -> None:
        """Find nothing to do."""
