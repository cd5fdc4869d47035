"""What the probes of a service answer, from any thread and at once: from what is known, nobody is asked."""

from collections.abc import Callable, Mapping

from cqrs.consuming import Consuming
from cqrs.watching import DependencyWatch

ASSIGNMENT = "assignment"
DELIVERY = "delivery"
PROGRESS = "progress"
SHUTDOWN = "shutdown"


class Probes:
    """Answer, for each part by name, None when it is well, or one sentence that says what is wrong with it.

    Args:
        consuming: The groups of the service.
        watch: What is known of its dependencies.
        is_stopping: Says whether it was told to stop.
    """

    def __init__(self, consuming: Consuming, watch: DependencyWatch, is_stopping: Callable[[], bool]) -> None:
        self._consuming = consuming
        self._watch = watch
        self._is_stopping = is_stopping

    def liveness(self) -> Mapping[str, str | None]:
        """Say whether it makes progress; what brokers, databases and registries do is no reason for a restart."""
        return {PROGRESS: None if self._is_stopping() else self._consuming.stall}

    def readiness(self) -> Mapping[str, str | None]:
        """Say whether it can be given work, and what is missing."""
        return {
            ASSIGNMENT: None if self._consuming.is_assigned else "no partitions are assigned yet",
            DELIVERY: self._consuming.waiting_for,
            **self._watch.problems,
            SHUTDOWN: "the service is stopping" if self._is_stopping() else None,
        }
