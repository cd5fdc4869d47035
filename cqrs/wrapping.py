"""What tests and tools may put around the parts of a service, from outside of it.

A service asks once, when it is made. Where nothing was put around it, its parts are handed on as they are: no call on
the path of a record is made for this.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from cqrs.command.unit_of_work import UnitOfWork
from cqrs.messaging.ports import Consumer, Producer


class Wrapping:
    """Put something around the parts of a service; this one leaves them as they are."""

    def consumer(self, consumer: Consumer) -> Consumer:
        """Return what the records of one group are read with."""
        return consumer

    def event_producer(self, producer: Producer) -> Producer:
        """Return what events are sent with."""
        return producer

    def letter_producer(self, producer: Producer) -> Producer:
        """Return what dead letters are sent with, and records on their way to a retry topic."""
        return producer

    def unit_of_work(self, unit_of_work: UnitOfWork) -> UnitOfWork:
        """Return the transaction of each command; not called for a service without a database."""
        return unit_of_work

    def handler(self, bean: object) -> object:
        """Return an object that the container found, which may be a handler."""
        return bean

    async def draining(self) -> None:
        """Be told that consuming was told to stop: nothing new begins, and what was begun is not finished yet."""


_wrapping: ContextVar[Wrapping] = ContextVar("cqrs_wrapping", default=Wrapping())  # noqa: B039 - it holds nothing


def current_wrapping() -> Wrapping:
    """Return what is to be put around a service that is made now."""
    return _wrapping.get()


@contextmanager
def wrapped(wrapping: Wrapping) -> Iterator[None]:
    """Put `wrapping` around each service that is made within the block."""
    token = _wrapping.set(wrapping)
    try:
        yield
    finally:
        _wrapping.reset(token)
