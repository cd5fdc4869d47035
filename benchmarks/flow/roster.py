"""Who takes part in the flow, in which file, with how many messages a turn."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.contestants import PEERS

HERE = Path(__file__).parent
OURS = HERE / "ours.py"
LOOPS = HERE / "loops.py"

OWN = "ours"
OWN_TRACED = "ours, every message traced"
PLAIN = "aiokafka + fastavro, getmany loop"


@dataclass(frozen=True, slots=True)
class Contestant:
    """Be one line of the table.

    Attributes:
        title: Its name in the table.
        file: Where it is built.
        key: Its name in that file.
        yardstick: The title of the loop that it is compared with.
        emits: Whether it writes events.
        traced: Whether it exports spans.
    """

    title: str
    file: Path
    key: str
    yardstick: str = PLAIN
    emits: bool = True
    traced: bool = False

    @property
    def is_peer(self) -> bool:
        """Return whether it is another library, which has an environment of its own."""
        return self.file.parent == PEERS


CONTESTANTS = (
    Contestant(OWN, OURS, "event"),
    Contestant(OWN_TRACED, OURS, "event, traced", traced=True),
    Contestant(PLAIN, LOOPS, "plain"),
)
"""Every line of the table, in order."""
