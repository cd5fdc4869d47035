"""Who takes part, in which file, and what each leaves out of the job."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.environment import PEERS

HERE = Path(__file__).parent
OWN = HERE / "own.py"

SEND_DIRECTLY = "do_handle(command)"
SEND = "send"
SEND_FULL = "send, full"
SEND_WITH_RULES = "send, full, own rules"
QUERY_DIRECTLY = "do_handle(query)"
QUERY_FULL = "query, full"
QUERY_CACHED = "query, full, cached"
PYTHON_CQRS_SEND = "python-cqrs send"
PYTHON_CQRS_QUERY = "python-cqrs query"

_PYTHON_CQRS = "validation, authorization, metrics, correlation, time limit; logs and makes its handler at each call"
_LATO = "authorization, metrics, correlation, time limit; its messages are pydantic models"
_DIATOR = "validation, authorization, metrics, correlation, time limit; makes its handler at each call"
_MEDIATR = "everything but finding the handler and making it"


@dataclass(frozen=True, slots=True)
class Contestant:
    """Be one line of the table.

    Attributes:
        title: Its name in the table.
        file: Where it is built.
        key: Its name in that file.
        yardstick: The title of the direct call that it is compared with.
        rival: The title of the call of python-cqrs that it is compared with.
        lacks: What it leaves out of: validation, authorization, correlation, metrics, time limit.
    """

    title: str
    file: Path
    key: str
    yardstick: str
    rival: str
    lacks: str

    @property
    def is_peer(self) -> bool:
        """Return whether it is another library, which has an environment of its own."""
        return self.file.parent == PEERS


def _sends(title: str, file: Path, key: str, lacks: str) -> Contestant:
    return Contestant(title, file, key, SEND_DIRECTLY, PYTHON_CQRS_SEND, lacks)


def _asks(title: str, file: Path, key: str, lacks: str) -> Contestant:
    return Contestant(title, file, key, QUERY_DIRECTLY, PYTHON_CQRS_QUERY, lacks)


CONTESTANTS = (
    _sends(SEND_DIRECTLY, OWN, "handle directly", "everything: it is the call that a bus makes in the end"),
    _sends(SEND, OWN, "send", "metrics"),
    _sends(SEND_FULL, OWN, "send, full", "nothing"),
    _sends(SEND_WITH_RULES, OWN, "send, full, own rules", "nothing; the command has a validate() and an authorize()"),
    _sends(
        "send, full, one event", OWN, "send, full, one event", "nothing; the event goes to a publisher that drops it"
    ),
    _sends("send, every option, traced", OWN, "send, every option, traced", "nothing; rules, hooks, event, 2 spans"),
    _sends(PYTHON_CQRS_SEND, PEERS / "with_python_cqrs.py", "send", _PYTHON_CQRS),
    _sends(
        "python-cqrs send, bare", PEERS / "with_python_cqrs.py", "send, bare", "the same; container and logging too"
    ),
    _sends("lato execute_async", PEERS / "with_lato.py", "send", _LATO),
    _sends("diator send", PEERS / "with_diator.py", "send", _DIATOR),
    _sends("mediatr send_async", PEERS / "with_mediatr.py", "send", _MEDIATR),
    _asks(QUERY_DIRECTLY, OWN, "query directly", "everything: it is the call that a bus makes in the end"),
    _asks("query", OWN, "query", "metrics"),
    _asks(QUERY_FULL, OWN, "query, full", "nothing"),
    _asks(QUERY_CACHED, OWN, "query, full, cached", "nothing; the answer comes from the cache in memory"),
    _asks(PYTHON_CQRS_QUERY, PEERS / "with_python_cqrs.py", "query", _PYTHON_CQRS),
    _asks("lato execute_async (query)", PEERS / "with_lato.py", "query", _LATO),
    _asks("diator send (query)", PEERS / "with_diator.py", "query", _DIATOR),
    _asks("mediatr send_async (query)", PEERS / "with_mediatr.py", "query", _MEDIATR),
)
"""Every line of the table, in order."""
