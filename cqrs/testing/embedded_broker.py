"""Run a Kafka broker inside this process: the mock cluster of librdkafka, out of the confluent-kafka wheel.

It speaks the real protocol over real sockets on 127.0.0.1, so any Kafka client can use it. What it lacks: it keeps
nothing when it stops, holds about 5 MiB a partition (older records are dropped), serves one member a consumer group
well, does not know CreateTopics, creates the topics that a client asks about, and does not honour transactions. Its
long poll is not woken by a produce: read with `fetch_max_wait_ms` of about 20. A member that joins a group after
another has left it, or beside it, waits for the session timeout less one second: tests that do so set it to 1.01 s.

The API is librdkafka's own (`src/rdkafka_mock.h`) and is called experimental there; `missing_symbols()` says whether
the installed version has all that is used here.
"""

import ctypes
import ctypes.util
import importlib.util
from collections.abc import Iterator
from enum import IntEnum
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from cqrs.exceptions import ConfigurationException

_PRODUCER = 0
_FOLDERS = ("../confluent_kafka.libs", ".dylibs", ".libs", ".")
_NAMES = ("librdkafka*.so*", "librdkafka*.dylib", "librdkafka*.dll", "cimpl*.so", "cimpl*.pyd")

_handle = ctypes.c_void_p
_text = ctypes.c_char_p
_int = ctypes.c_int
_i16 = ctypes.c_int16
_i32 = ctypes.c_int32

_SIGNATURES: dict[str, tuple[object, list[object]]] = {
    "rd_kafka_version_str": (_text, []),
    "rd_kafka_err2str": (_text, [_int]),
    "rd_kafka_conf_new": (_handle, []),
    "rd_kafka_conf_destroy": (None, [_handle]),
    "rd_kafka_conf_set_log_cb": (None, [_handle, _handle]),
    "rd_kafka_new": (_handle, [_int, _handle, _text, ctypes.c_size_t]),
    "rd_kafka_destroy": (None, [_handle]),
    "rd_kafka_mock_cluster_new": (_handle, [_handle, _int]),
    "rd_kafka_mock_cluster_destroy": (None, [_handle]),
    "rd_kafka_mock_cluster_bootstraps": (_text, [_handle]),
    "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, [_handle, _i32]),
    "rd_kafka_mock_topic_create": (_int, [_handle, _text, _int, _int]),
    "rd_kafka_mock_topic_set_error": (None, [_handle, _text, _int]),
    "rd_kafka_mock_partition_set_leader": (_int, [_handle, _text, _i32, _i32]),
    "rd_kafka_mock_coordinator_set": (_int, [_handle, _text, _text, _i32]),
    "rd_kafka_mock_push_request_errors_array": (
        None,
        [_handle, _i16, ctypes.c_size_t, ctypes.POINTER(_int)],
    ),
    "rd_kafka_mock_clear_request_errors": (None, [_handle, _i16]),
    "rd_kafka_mock_start_request_tracking": (None, [_handle]),
    "rd_kafka_mock_get_requests": (ctypes.POINTER(_handle), [_handle, ctypes.POINTER(ctypes.c_size_t)]),
    "rd_kafka_mock_request_api_key": (_i16, [_handle]),
    "rd_kafka_mock_request_destroy_array": (None, [ctypes.POINTER(_handle), ctypes.c_size_t]),
    "rd_kafka_mock_broker_set_down": (_int, [_handle, _i32]),
    "rd_kafka_mock_broker_set_up": (_int, [_handle, _i32]),
    "rd_kafka_mock_broker_set_rtt": (_int, [_handle, _i32, _int]),
}


NO_METADATA_ERRORS = "librdkafka answers METADATA requests without the error; take `TopicError`, or another kind"


class ApiKey(IntEnum):
    """Number requests as the Kafka protocol does; all but METADATA can be made to fail."""

    PRODUCE = 0
    FETCH = 1
    LIST_OFFSETS = 2
    METADATA = 3
    OFFSET_COMMIT = 8
    OFFSET_FETCH = 9
    FIND_COORDINATOR = 10
    JOIN_GROUP = 11
    HEARTBEAT = 12
    LEAVE_GROUP = 13
    SYNC_GROUP = 14
    API_VERSIONS = 18
    INIT_PRODUCER_ID = 22


class EmbeddedBroker:
    """Be a Kafka cluster of this process, and break on demand.

    Starting again after a stop gives an empty cluster on other ports. Fault methods take effect at once and hold for
    every client.

    Args:
        brokers: How many brokers the cluster has; they are numbered from 1.

    Raises:
        ConfigurationException: fewer than one broker is asked for.
    """

    def __init__(self, brokers: int = 1) -> None:
        if brokers < 1:
            raise ConfigurationException([f"An embedded cluster of {brokers} brokers cannot be; ask for one or more."])
        self._brokers = brokers
        self._client: int | None = None
        self._cluster: int | None = None
        self._bootstrap_servers = ""
        self._are_counted = False
        self._failing: dict[ApiKey, tuple[int, int]] = {}
        self._failed_topics: dict[str, int] = {}

    @property
    def bootstrap_servers(self) -> str:
        """Return `host:port` of every broker, comma-separated.

        Raises:
            ConfigurationException: the broker is not running.
        """
        self._running()
        return self._bootstrap_servers

    def start(self) -> None:
        """Start the cluster, in about a millisecond; harmless when it runs.

        Raises:
            ConfigurationException: librdkafka is not found, or lacks the mock cluster; says what to try.
        """
        if self._cluster is not None:
            return
        library = load_librdkafka()
        self._client = _new_client(library)
        self._cluster = library.rd_kafka_mock_cluster_new(self._client, self._brokers)
        if not self._cluster:
            self.stop()
            raise ConfigurationException(
                [f"librdkafka did not start a mock cluster of {self._brokers} brokers: no free ports on 127.0.0.1?"]
            )
        # Otherwise the first member of a group waits three seconds for others.
        library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        self._bootstrap_servers = library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def stop(self) -> None:
        """Stop the cluster and free it with everything it held; harmless when it does not run."""
        self._are_counted = False
        self._failing.clear()
        self._failed_topics.clear()
        cluster, self._cluster = self._cluster, None
        client, self._client = self._client, None
        if cluster:
            load_librdkafka().rd_kafka_mock_cluster_destroy(cluster)
        if client:
            load_librdkafka().rd_kafka_destroy(client)

    def __enter__(self) -> Self:
        """Start, and return itself."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def create_topic(self, name: str, partitions: int = 1, replication_factor: int = 1) -> None:
        """Create a topic.

        Raises:
            ConfigurationException: it exists already, or the cluster has too few brokers.
        """
        code = load_librdkafka().rd_kafka_mock_topic_create(
            self._running(), name.encode(), partitions, replication_factor
        )
        _check(code, f"create topic {name}")

    def broker_down(self, broker_id: int | None = None) -> None:
        """Close the connections of one broker, or of all, and refuse new ones; stored records are kept."""
        for each in self._each(broker_id):
            _check(load_librdkafka().rd_kafka_mock_broker_set_down(self._running(), each), f"stop broker {each}")

    def broker_up(self, broker_id: int | None = None) -> None:
        """Let one broker, or all, answer again on the same port."""
        for each in self._each(broker_id):
            _check(load_librdkafka().rd_kafka_mock_broker_set_up(self._running(), each), f"start broker {each}")

    def delay_answers(self, milliseconds: int, broker_id: int | None = None) -> None:
        """Delay every answer of one broker, or of all, by `milliseconds`; 0 ends it."""
        for each in self._each(broker_id):
            code = load_librdkafka().rd_kafka_mock_broker_set_rtt(self._running(), each, milliseconds)
            _check(code, f"delay broker {each}")

    def fail_requests(self, api: ApiKey, *errors: int) -> None:
        """Answer the next requests of kind `api` with these Kafka error codes, one a request, in order.

        Raises:
            ConfigurationException: librdkafka answers requests of this kind without them.
        """
        if api is ApiKey.METADATA:
            raise ConfigurationException([NO_METADATA_ERRORS])
        left, since = self.failures_left(api), self.requests(api)
        codes = (_int * len(errors))(*errors)
        load_librdkafka().rd_kafka_mock_push_request_errors_array(self._running(), api, len(errors), codes)
        self._failing[api] = (left + len(errors), since)

    def failures_left(self, api: ApiKey) -> int:
        """Return how many errors are still to be answered to requests of kind `api`."""
        many, since = self._failing.get(api, (0, 0))
        return max(many - (self.requests(api) - since), 0)

    def clear_failures(self, api: ApiKey) -> None:
        """Forget the errors that are still to be answered to requests of kind `api`."""
        load_librdkafka().rd_kafka_mock_clear_request_errors(self._running(), api)
        self._failing.pop(api, None)

    def requests(self, api: ApiKey) -> int:
        """Return how many requests of kind `api` have come since this was first asked; from then on all are kept."""
        library, cluster = load_librdkafka(), self._running()
        if not self._are_counted:
            library.rd_kafka_mock_start_request_tracking(cluster)
            self._are_counted = True
        count = ctypes.c_size_t()
        found = library.rd_kafka_mock_get_requests(cluster, ctypes.byref(count))
        try:
            return sum(library.rd_kafka_mock_request_api_key(each) == api for each in found[: count.value])
        finally:
            library.rd_kafka_mock_request_destroy_array(found, count.value)

    def fail_topic(self, name: str, error: int) -> None:
        """Answer every metadata request for the topic with this Kafka error code; 0 ends it."""
        self._failed_topics[name] = self.requests(ApiKey.METADATA)
        load_librdkafka().rd_kafka_mock_topic_set_error(self._running(), name.encode(), error)

    def was_asked_for(self, failed_topic: str) -> bool:
        """Say whether a client has asked for metadata since this topic was made to fail."""
        return self.requests(ApiKey.METADATA) > self._failed_topics[failed_topic]

    def move_leader(self, topic: str, partition: int, broker_id: int) -> None:
        """Make another broker the leader of a partition."""
        code = load_librdkafka().rd_kafka_mock_partition_set_leader(
            self._running(), topic.encode(), partition, broker_id
        )
        _check(code, f"move the leader of {topic}[{partition}] to broker {broker_id}")

    def move_coordinator(self, group_id: str, broker_id: int) -> None:
        """Make another broker the coordinator of a consumer group."""
        code = load_librdkafka().rd_kafka_mock_coordinator_set(self._running(), b"group", group_id.encode(), broker_id)
        _check(code, f"move the coordinator of {group_id} to broker {broker_id}")

    def _each(self, broker_id: int | None) -> Iterator[int]:
        yield from range(1, self._brokers + 1) if broker_id is None else (broker_id,)

    def _running(self) -> int:
        if self._cluster is None:
            raise ConfigurationException(["The embedded broker is not running; call start() or use it in a `with`."])
        return self._cluster


@cache
def load_librdkafka() -> ctypes.CDLL:
    """Load librdkafka out of the installed confluent-kafka, its functions declared; loaded once a process.

    Raises:
        ConfigurationException: it is not found, or this version lacks a function that is needed; says what to try.
    """
    tried: list[str] = []
    for candidate in _candidates():
        try:
            library = ctypes.CDLL(candidate)
        except OSError as error:
            tried.append(f"{candidate} ({error})")
            continue
        missing = missing_symbols(library)
        if not missing:
            return _declare(library)
        tried.append(f"{candidate} (lacks {', '.join(missing)})")
    raise ConfigurationException(
        [
            "The embedded broker needs librdkafka with its mock cluster, as the wheels of confluent-kafka 2.10 and "
            f"later carry it; tried: {'; '.join(tried) or 'nothing, confluent-kafka is not installed'}. "
            "Try `pip install --force-reinstall --only-binary :all: confluent-kafka`, or set "
            "KAFKA_BOOTSTRAP_SERVERS to use a real broker."
        ]
    )


def missing_symbols(library: ctypes.CDLL) -> list[str]:
    """Name the functions used here that `library` does not have."""
    return [name for name in _SIGNATURES if not hasattr(library, name)]


def _candidates() -> Iterator[str]:
    spec = importlib.util.find_spec("confluent_kafka")
    for package in (spec.submodule_search_locations or []) if spec else []:
        for folder in _FOLDERS:
            for name in _NAMES:
                yield from map(str, sorted(Path(package, folder).glob(name)))
    system = ctypes.util.find_library("rdkafka")
    if system:
        yield system


def _declare(library: ctypes.CDLL) -> ctypes.CDLL:
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


def _new_client(library: ctypes.CDLL) -> int:
    conf = library.rd_kafka_conf_new()
    # Without a callback librdkafka writes its warnings to stderr, one of them at each start.
    library.rd_kafka_conf_set_log_cb(conf, None)
    reason = ctypes.create_string_buffer(512)
    client: int | None = library.rd_kafka_new(_PRODUCER, conf, reason, len(reason))
    if client:
        return client
    library.rd_kafka_conf_destroy(conf)
    raise ConfigurationException([f"librdkafka did not start: {reason.value.decode(errors='replace')}"])


def _check(code: int, deed: str) -> None:
    if code:
        reason = load_librdkafka().rd_kafka_err2str(code).decode()
        raise ConfigurationException([f"The embedded broker could not {deed}: {reason}."])
