"""sigterms: a hundred processes of the service are told to stop under load; each ends with 0, nothing is repeated."""

import time
from collections import deque
from dataclasses import dataclass

from tests.chaos.load import Load
from tests.chaos.orders.deployment import Deployment, Where
from tests.chaos.orders.workload import commands_of
from tests.chaos.processes import Forked
from tests.chaos.results import Progress, Result

NAME = "sigterms"
MEMBERS = 3
"""Processes at once; the oldest one is told to stop, and a new one takes its place."""

_ENOUGH = 1_000_000


@dataclass(frozen=True, slots=True)
class Sigterms:
    """Say how many, and under which load.

    Attributes:
        seed: Of the commands.
        stops: How many processes are told to stop.
        per_second: Commands sent meanwhile.
    """

    seed: int
    stops: int = 100
    per_second: float = 200.0

    @property
    def again(self) -> str:
        """Return the arguments that run this alone."""
        return f"{NAME} --seed {self.seed} --stops {self.stops}"


def run_sigterms(sigterms: Sigterms, where: Where, progress: Progress) -> Result:
    """Send all the time, stop one process after the other, judge."""
    begun = time.monotonic()
    # Evictions of members that a busy machine kept from their heartbeats are another matter: see rebalance_storm.
    settings = {"kafka_session_timeout_ms": 30_000}
    with Deployment(where, f"t{sigterms.seed}", settings) as deployment:
        commands = commands_of(sigterms.seed, min(_ENOUGH, sigterms.stops * 2_000), deployment.prefix)
        members: deque[Forked] = deque(deployment.begin() for _ in range(MEMBERS))
        for each in members:
            deployment.ready(each)
        slowest = 0.0
        with Load(deployment, commands, sigterms.per_second):
            for number in range(sigterms.stops):
                deployment.move()
                told = time.monotonic()
                deployment.stop(members.popleft())
                slowest = max(slowest, time.monotonic() - told)
                members.append(deployment.begin())
                deployment.ready(members[-1])
                progress.say(f"{NAME}: {number + 1} of {sigterms.stops}, {deployment.outcomes.settled:,} settled")
        deployment.settle()
        for each in members:
            deployment.stop(each)
        deployment.judge()
        if deployment.outcomes.repeats:
            deployment.problems.append(str(deployment.outcomes.history(deployment.sent).verdict()))
        measured = {"SIGTERM": sigterms.stops + MEMBERS, **deployment.measured(), "slowest stop": f"{slowest:.1f} s"}
    return Result(
        NAME,
        f"{sigterms.stops} stops, {where.database}",
        measured,
        deployment.problems,
        sigterms.again,
        time.monotonic() - begun,
    )
