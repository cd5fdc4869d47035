"""What goes wrong in a test, written down before it runs: each fault has a moment to begin and one to end."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from types import TracebackType
from typing import Self

from cqrs.exceptions import ConfigurationException, CqrsException
from cqrs.testing.faults import END, START, Broker, Fault

SECONDS = 20.0
"""How long `until` waits."""


class FaultPlanException(CqrsException):
    """Report a plan that did not run as it was written: a test would have passed without its fault."""


class FaultPlan:
    """Break a broker as planned, and leave it whole.

    The test, its handler or a callback says what happened by `note`; a fault that begins or ends at this moment does so
    before `note` returns. Counts decide, not time::

        plan = FaultPlan(
            broker,
            BrokerDown(begins="handled:3", ends="refused"),
            RequestErrors(ApiKey.OFFSET_COMMIT, 16, times=2, begins="handled:5"),
        )
        with plan:
            ...

    A real Kafka (`KafkaServer`, `KafkaCluster`) can be taken away and brought back; all else needs an `EmbeddedBroker`.
    Two faults that hold the same thing at the same time end with the first one.

    Args:
        broker: What is broken.
        faults: What goes wrong, and when.

    Raises:
        ConfigurationException: this broker cannot show one of them, or a moment cannot be read; shows all of it.
    """

    def __init__(self, broker: Broker, *faults: Fault) -> None:
        problems = [problem for fault in faults for problem in _problems(broker, fault)]
        if problems:
            raise ConfigurationException(problems)
        self._broker = broker
        self._faults = faults
        self._counts: Counter[str] = Counter()
        self._begun: list[Fault] = []
        self._ended: list[Fault] = []
        self._unmet: list[str] = []
        self._healed: tuple[Fault, ...] = ()
        self._is_over = False
        self._acting = threading.RLock()
        self._moments = _Moments()

    def __enter__(self) -> Self:
        """Begin what begins at the start, and return itself; what began ends again if that fails.

        Raises:
            ConfigurationException: the plan has run before.
        """
        if self._counts:
            raise ConfigurationException(["A FaultPlan runs once: its moments are counted. Make another one."])
        try:
            self.note(START)
        except BaseException:
            self._heal()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every fault, whatever happened; nothing begins after that.

        Raises:
            FaultPlanException: a moment of the plan never came, or nobody met a `RequestErrors` or a `TopicError`, and
                the block did not fail by itself.
        """
        self._heal()
        if error is None:
            self._check()

    @property
    def active(self) -> tuple[Fault, ...]:
        """Return the faults that have begun and not ended, in order."""
        with self._acting:
            return tuple(fault for fault in self._begun if not _is_in(fault, self._ended))

    def note(self, name: str) -> None:
        """Say that something happened, from any thread; whatever begins or ends now has done so when this returns.

        Raises:
            ConfigurationException: the broker refuses the fault.
            KafkaServerException: a real broker did not start again.
        """
        with self._acting:
            self._counts[name] += 1
            now = (name, self._counts[name])
            if not self._is_over:
                self._act(now)
            self._moments.came(now)

    async def noted(self, name: str) -> None:
        """Say that something happened, as `note` does, in a thread: a real broker takes seconds to come and go."""
        await asyncio.to_thread(self.note, name)

    async def until(self, moment: str, seconds: float = SECONDS) -> None:
        """Wait for a moment: `handled:3` is the third time that `handled` was noted.

        Raises:
            TimeoutError: it did not come in time.
        """
        name, count = _moment(moment)
        try:
            async with asyncio.timeout(seconds):
                await self._moments.until((name, count))
        except TimeoutError:
            came = self._counts[name]
            raise TimeoutError(f"{name}:{count} did not come; {name} came {came} times") from None

    def _act(self, now: tuple[str, int]) -> None:
        for fault in self.active:
            if _moment(fault.ends) == now:
                self._end(fault)
        for fault in self._faults:
            if _moment(fault.begins) == now:
                self._begun.append(fault)
                fault.begin(self._broker)

    def _end(self, fault: Fault) -> None:
        self._ended.append(fault)
        if unmet := fault.unmet(self._broker):
            self._unmet.append(f"{fault}: {unmet}")
        fault.end(self._broker)

    def _heal(self) -> None:
        """End what is active, the last first; one that cannot be ended keeps none of the others from it."""
        with self._acting, ExitStack() as closing:
            self._is_over = True
            self._healed = self.active
            for fault in self._healed:
                closing.callback(self._end, fault)

    def _check(self) -> None:
        """Complain of each fault that did not begin, ended only because the block did, or was not met."""
        never = [fault for fault in self._faults if not _is_in(fault, self._begun)]
        late = [fault for fault in self._healed if fault.ends != END]
        words = [f"{each} never began" for each in never] + [f"{each} ended with the block only" for each in late]
        words += self._unmet
        if words:
            raise FaultPlanException(f"{'; '.join(words)}. Noted: {dict(self._counts)}")


class _Moments:
    """Let tasks wait for moments that any thread brings about."""

    def __init__(self) -> None:
        self._came: set[tuple[str, int]] = set()
        self._waiting: list[tuple[tuple[str, int], Callable[[], object]]] = []
        self._lock = threading.Lock()

    def came(self, moment: tuple[str, int]) -> None:
        with self._lock:
            self._came.add(moment)
            told = [tell for each, tell in self._waiting if each == moment]
        for tell in told:
            with suppress(RuntimeError):  # its loop is closed: nobody waits there any more
                tell()

    async def until(self, moment: tuple[str, int]) -> None:
        reached = asyncio.Event()
        waiting = moment, partial(asyncio.get_running_loop().call_soon_threadsafe, reached.set)
        with self._lock:
            if moment in self._came:
                return
            self._waiting.append(waiting)
        try:
            await reached.wait()
        finally:
            with self._lock:
                self._waiting.remove(waiting)


def _is_in(fault: Fault, faults: list[Fault]) -> bool:
    """Say whether it is this very one: two faults of a plan may be equal."""
    return any(fault is each for each in faults)


def _moment(text: str) -> tuple[str, int]:
    name, _, count = text.partition(":")
    return name, int(count or 1)


def _problems(broker: Broker, fault: Fault) -> list[str]:
    found = [
        f"{each!r} is no moment; write a name, or a name and a count from 1 as in handled:3"
        for each in (fault.begins, fault.ends)
        if not _is_moment(each)
    ]
    if problem := fault.problem(broker):
        found.append(problem)
    return found


def _is_moment(text: str) -> bool:
    name, colon, count = text.partition(":")
    return bool(name) and (not colon or (count.isdecimal() and int(count) > 0))
