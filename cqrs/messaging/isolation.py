"""Run a coroutine in a context of its own inside a long-lived task."""

from asyncio import CancelledError
from collections.abc import Coroutine, Generator
from contextvars import copy_context
from typing import Generic, TypeVar

from cqrs.exceptions import CqrsException

T = TypeVar("T")


class AbruptEndException(CqrsException):
    """Report a coroutine that raised what is meant for its task or its process, not for its caller.

    Such are `sys.exit()`, the panic of a library in Rust, or what a test framework raises.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(f"the handling of the record raised {type(error).__name__}, which is no Exception")
        self.__cause__ = error


class OwnContext(Generic[T]):
    """Await a coroutine so that what it sets in context variables is gone when it ends.

    A task has one context for all its life. A worker handles record after record, and one record's user, tenant or
    correlation must not be the next one's. A task for each record would do, and costs ten times as much.

    Args:
        coroutine: What is run; each of its steps is, in a copy of the context in which this is awaited.
    """

    def __init__(self, coroutine: Coroutine[object, None, T]) -> None:
        self._coroutine = coroutine

    def __await__(self) -> Generator[object, None, T]:
        """Step the coroutine until its end.

        Raises:
            AbruptEndException: it raised what is neither an Exception nor a cancellation.
        """
        coroutine, run = self._coroutine, copy_context().run
        thrown: BaseException | None = None
        while True:
            try:
                awaited = run(coroutine.send, None) if thrown is None else run(coroutine.throw, thrown)
            except StopIteration as ended:
                result: T = ended.value
                return result
            except (Exception, CancelledError):
                raise
            except BaseException as error:
                raise AbruptEndException(error) from error
            try:
                yield awaited
                thrown = None
            except GeneratorExit:
                run(coroutine.close)
                raise
            except BaseException as error:  # noqa: BLE001 - whatever the task is told is the coroutine's to hear
                thrown = error
