"""Who takes part in the flow, in which file, with how many messages a turn."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.environment import PEERS
from benchmarks.flow.job import EVENTS

HERE = Path(__file__).parent
OURS = HERE / "ours.py"
LOOPS = HERE / "loops.py"
FASTSTREAM_FILE = PEERS / "with_faststream.py"

EMBEDDED = "embedded broker"
KAFKA = "Apache Kafka"

OWN = "ours"
OWN_TRACED = "ours, every message traced"
PLAIN = "aiokafka loop"
BUILDERS = "aiokafka loop, batch builders"
SPANS = "aiokafka loop, two spans a message"
CONFLUENT = "confluent-kafka loop"
FASTSTREAM = "FastStream, per message"
FASTSTREAM_TRACED = "FastStream, per message, traced"
FASTSTREAM_BATCH = "FastStream, batch"
FASTSTREAM_BATCH_TRACED = "FastStream, batch, traced"
OWN_IDLE = "ours, no-op handler"
DECODING = "aiokafka loop, no-op"
OWN_WAITING = "ours, 1 ms handler, 100 lanes"
WAITING = "aiokafka loop, 1 ms, one at a time"
OWN_WAITING_LONGER = "ours, 10 ms handler, 100 lanes"
WAITING_LONGER = "aiokafka loop, 10 ms, one at a time"
SQLITE = "order service, SQLite"
POSTGRESQL = "order service, PostgreSQL"

Job = Literal["event", "decode", "order"]
"""What a contestant does with each command: publish an event, nothing, or keep an order and publish."""

_EVENTS_OF: Mapping[Job, str] = {"event": EVENTS, "decode": "", "order": "orders.events"}


@dataclass(frozen=True, slots=True)
class Contestant:
    """Be one line of the table.

    Attributes:
        title: Its name in the table.
        file: Where it is built.
        key: Its name in that file.
        yardstick: The title of the one that it is compared with.
        job: What it does with each command.
        shares: By broker, how many times the messages of a turn it takes; 1 where nothing is said.
        traced: Whether it makes spans, and the events are to carry them.
        one_trace: Whether the event stays in the trace of its command.
        postgres: Whether it needs a PostgreSQL server.
        lacks: What it leaves out of the job.
    """

    title: str
    file: Path
    key: str
    yardstick: str = PLAIN
    job: Job = "event"
    shares: Mapping[str, float] | None = None
    traced: bool = False
    one_trace: bool = True
    postgres: bool = False
    lacks: str = ""

    @property
    def is_peer(self) -> bool:
        """Return whether it is another library, which has an environment of its own."""
        return self.file.parent == PEERS

    @property
    def events(self) -> str:
        """Return the topic that it writes to, or the empty string."""
        return _EVENTS_OF[self.job]

    def messages(self, whole: int, broker: str) -> int:
        """Return how many messages its turn has, where a turn of the fast ones has `whole`."""
        return max(int(whole * (self.shares or {}).get(broker, 1.0)), FEWEST)


FEWEST = 50
"""Messages of a turn at least."""

_LOOP_LACKS = "retries, dead letters, lanes, metrics, graceful rebalance"
_FAST = {EMBEDDED: 3.0, KAFKA: 3.0}
_SLOW = {EMBEDDED: 0.1, KAFKA: 0.02}
_BATCHED = {EMBEDDED: 0.5, KAFKA: 0.5}
_ONE_BY_ONE = {EMBEDDED: 0.05, KAFKA: 0.05}
_ONE_BY_ONE_LONGER = {EMBEDDED: 0.01, KAFKA: 0.01}
_STORED = {EMBEDDED: 0.1, KAFKA: 0.1}

CONTESTANTS = (
    Contestant(OWN, OURS, "event"),
    Contestant(OWN_TRACED, OURS, "event, traced", SPANS, traced=True),
    Contestant(PLAIN, LOOPS, "plain", lacks=_LOOP_LACKS),
    Contestant(BUILDERS, LOOPS, "builders", lacks=_LOOP_LACKS),
    Contestant(SPANS, LOOPS, "spans", SPANS, traced=True, lacks=_LOOP_LACKS),
    Contestant(CONFLUENT, HERE / "confluent_loop.py", "loop", lacks=_LOOP_LACKS),
    Contestant(FASTSTREAM, FASTSTREAM_FILE, "per message", shares=_SLOW, lacks="lanes, dead letters"),
    Contestant(
        FASTSTREAM_TRACED, FASTSTREAM_FILE, "per message, traced", SPANS, shares=_SLOW, traced=True, lacks="the same"
    ),
    Contestant(
        FASTSTREAM_BATCH, FASTSTREAM_FILE, "batch", shares=_BATCHED, lacks="the same; one failure is the batch's"
    ),
    Contestant(
        FASTSTREAM_BATCH_TRACED,
        FASTSTREAM_FILE,
        "batch, traced",
        SPANS,
        shares=_BATCHED,
        traced=True,
        one_trace=False,
        lacks="the same; and the trace of each message: the batch has one",
    ),
    Contestant(OWN_IDLE, OURS, "no-op", DECODING, job="decode", shares=_FAST),
    Contestant(DECODING, LOOPS, "decoding", DECODING, job="decode", shares=_FAST, lacks=_LOOP_LACKS),
    Contestant(OWN_WAITING, OURS, "wait 1 ms", WAITING, job="decode"),
    Contestant(WAITING, LOOPS, "wait 1 ms", WAITING, job="decode", shares=_ONE_BY_ONE, lacks=_LOOP_LACKS),
    Contestant(OWN_WAITING_LONGER, OURS, "wait 10 ms", WAITING_LONGER, job="decode"),
    Contestant(
        WAITING_LONGER, LOOPS, "wait 10 ms", WAITING_LONGER, job="decode", shares=_ONE_BY_ONE_LONGER, lacks=_LOOP_LACKS
    ),
    Contestant(SQLITE, HERE / "order_service.py", "orders", OWN, job="order", shares=_STORED),
    Contestant(POSTGRESQL, HERE / "order_service.py", "orders", OWN, job="order", shares=_STORED, postgres=True),
)
"""Every line of the table, in order."""
