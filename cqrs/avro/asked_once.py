"""Remember answers that never change, and ask for each of them only once at a time."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class AskedOnce(Generic[K, V]):
    """Answer from memory, else ask; callers that want the same answer at the same time share one question.

    An answer is kept, the least recently used one given up when there are too many. An exception is never kept: the
    next caller asks again.

    Args:
        ask: Gets the answer for a key.
        capacity: How many answers are kept.
    """

    def __init__(self, ask: Callable[[K], Coroutine[object, object, V]], *, capacity: int = 1000) -> None:
        self._ask = ask
        self._capacity = capacity
        self._known: OrderedDict[K, V] = OrderedDict()
        self._asking: dict[K, asyncio.Task[V]] = {}

    def known(self, key: K) -> V | None:
        """Return the answer if it is remembered, without asking."""
        answer = self._known.get(key)
        if answer is not None:
            self._known.move_to_end(key)
        return answer

    async def get(self, key: K) -> V:
        """Return the answer for `key`, or raise what asking for it raises."""
        answer = self.known(key)
        if answer is not None:
            return answer
        # Shielded: one caller that is cancelled takes the answer from nobody else.
        return await asyncio.shield(self._question(key))

    def _question(self, key: K) -> Awaitable[V]:
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._ask(key))
            task.add_done_callback(lambda done: self._settle(key, done))
        return task

    def _settle(self, key: K, task: "asyncio.Task[V]") -> None:
        del self._asking[key]
        if task.cancelled() or task.exception() is not None:
            return
        self._known[key] = task.result()
        while len(self._known) > self._capacity:
            self._known.popitem(last=False)
