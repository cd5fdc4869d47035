"""Sort stacks into the stages of the flow."""

from collections import Counter
from collections.abc import Mapping

from benchmarks.flow.sampling import Stack

EVENT_LOOP = "event loop"
NETWORK = "network"

STAGES: Mapping[str, tuple[str, ...]] = {
    "poll": ("cqrs/kafka/", "aiokafka/consumer/", "aiokafka/record/"),
    "lane": (
        "cqrs/messaging/subscriber.py",
        "cqrs/messaging/workers.py",
        "cqrs/messaging/lanes.py",
        "cqrs/messaging/progress.py",
        "cqrs/messaging/watermark.py",
        "cqrs/messaging/room.py",
        "cqrs/messaging/waiting.py",
    ),
    "policy": ("cqrs/messaging/",),
    "metrics": (
        "cqrs/telemetry/metrics.py",
        "prometheus_client/",
        "cqrs/messaging/metrics.py",
        "cqrs/command/metrics.py",
    ),
    "trace": ("cqrs/telemetry/", "cqrs/tracing/", "cqrs/messaging/tracing.py", "opentelemetry/"),
    "decode": (
        "cqrs/messaging/dispatcher.py",
        "cqrs/messaging/envelope.py",
        "cqrs/messaging/values.py",
        "cqrs/serialization/",
        "cqrs/avro/",
        "pydantic/",
        "json/",
    ),
    "bus": ("cqrs/command/", "cqrs/validation/", "cqrs/authorization/", "cqrs/context/"),
    "handler": ("benchmarks/", "service/"),
    "encode": ("cqrs/avro/encoder.py", "cqrs/event/", "cqrs/messaging/events.py", "cqrs/messaging/name_based_ids.py"),
    "publish": (
        "cqrs/kafka/producer.py",
        "cqrs/kafka/topic_queue.py",
        "cqrs/kafka/partition_queue.py",
        "cqrs/kafka/queued.py",
        "cqrs/kafka/producing.py",
        "cqrs/kafka/gathering.py",
        "cqrs/kafka/partitioning.py",
        "cqrs/kafka/patience.py",
        "cqrs/kafka/judging.py",
        "cqrs/kafka/line.py",
        "aiokafka/producer/",
    ),
    "commit": (
        "cqrs/messaging/committer.py",
        "cqrs/messaging/commit_note.py",
        "cqrs/kafka/coordination.py",
        "aiokafka/consumer/group_coordinator.py",
    ),
    NETWORK: ("aiokafka/",),
}
"""By stage, where its code stands; of several that fit, the longest counts."""

_PREFIXES = sorted(
    ((prefix, stage) for stage, prefixes in STAGES.items() for prefix in prefixes), key=lambda pair: -len(pair[0])
)
_DRIVER = (
    "benchmarks/bus/worker.py",
    "benchmarks/flow/worker.py",
    "benchmarks/flow/profiled.py",
    "benchmarks/flow/ours.py",
)


def stage_of(stack: Stack) -> str:
    """Return the stage of the innermost frame that belongs to one.

    What the client does for several stages (connections, the protocol) counts for the stage that asked, else as
    network; what the event loop does on its own counts as event loop.
    """
    fallback = EVENT_LOOP
    for frame in reversed(stack):
        if frame.startswith(_DRIVER):
            continue
        found = next((stage for prefix, stage in _PREFIXES if frame.startswith(prefix)), None)
        if found is None:
            continue
        if found != NETWORK:
            return found
        fallback = NETWORK
    return fallback


def by_stage(stacks: Mapping[Stack, int]) -> Counter[str]:
    """Return how many samples each stage had."""
    found: Counter[str] = Counter()
    for stack, count in stacks.items():
        found[stage_of(stack)] += count
    return found


def by_function(stacks: Mapping[Stack, int]) -> Counter[str]:
    """Return how many samples each function had itself, without what it called."""
    found: Counter[str] = Counter()
    for stack, count in stacks.items():
        found[stack[-1]] += count
    return found
