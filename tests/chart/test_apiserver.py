"""Install, upgrade, roll back and uninstall against a real API server, in a namespace that enforces `restricted`.

Pods run as processes of this machine, on a real Kafka and PostgreSQL: what the chart tells the service to do is done.
"""

import base64
import copy
import os
import subprocess
import sys
import time
import urllib.error
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from confluent_kafka.admin import AdminClient

from cqrs.avro.file_registry import FileSchemaRegistry
from cqrs.http.schema_registry import schema_registry_app
from cqrs.http.server import ThreadedServer
from cqrs.testing.fixtures import without_server
from cqrs.testing.postgres_server import PostgresServer, find_postgres
from tests.chart import tools
from tests.chart.conftest import tool
from tests.chart.control_plane import ControlPlane, programs
from tests.chart.documented_values import CHART
from tests.chart.node import Node
from tests.chart.rendering import NAMESPACE, VALUES, Manifest, Rendered, pod_of
from tests.conftest import MEASURED

pytestmark = [pytest.mark.apiserver]

RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
IMAGE = "registry.example.com/orders:0.1.0"
ELSEWHERE = {"serviceAccountName": "default", "priorityClassName": "", "runtimeClassName": None}
"""What a pod names that this API server does not have, and needs to let it in."""

TIMEOUT = "300s"
ORDER = (
    '{"order_id": "o-1", "customer_id": "c-1", "items": [{"sku": "A", "quantity": 2, "unit_price": "9.99"}], '
    '"currency": "EUR"}'
)


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    try:
        built = programs(build=False)
    except tools.ToolMissingException as error:
        without_server(str(error))
    with ControlPlane(built) as started:
        yield started


@pytest.fixture
def namespace(plane: ControlPlane) -> str:
    """A namespace that enforces `restricted`, empty."""
    name = f"{NAMESPACE}-{time.monotonic_ns()}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": RESTRICTED}}
    plane.ask("/api/v1/namespaces", "POST", body)
    wait(lambda: plane.ask(f"/api/v1/namespaces/{name}/serviceaccounts/default"))
    return name


@pytest.fixture(scope="module")
def definitions(plane: ControlPlane) -> None:
    """The custom resources that the chart may make, known to the API server."""
    try:
        folder = tools.custom_resources()
    except tools.ToolMissingException as error:
        without_server(str(error))
    wanted = ("scaledobjects", "triggerauthentications", "podmonitors", "prometheusrules", "kafkatopics", "kafkausers")
    for path in folder.glob("*.yaml"):
        if path.stem.rpartition("_")[2] in wanted:
            body = yaml.safe_load(path.read_text("utf-8"))
            plane.ask("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "POST", body)
    for group in ("keda.sh/v1alpha1", "monitoring.coreos.com/v1", "kafka.strimzi.io/v1beta2"):
        wait(partial(plane.ask, f"/apis/{group}"))


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresServer]:
    if find_postgres() is None:
        without_server("PostgreSQL is not installed. To run these: apt-get install -y postgresql")
    with PostgresServer() as server:
        yield server


@pytest_asyncio.fixture
async def registry(tmp_path: Path) -> AsyncIterator[str]:
    server = ThreadedServer(schema_registry_app(FileSchemaRegistry(tmp_path / "registry")))
    await server.start()
    yield server.url
    await server.stop()


def wait(answered: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Wait until a call answers something true."""
    until = time.monotonic() + seconds
    while True:
        try:
            if found := answered():
                return found
        except urllib.error.HTTPError as error:
            if time.monotonic() > until:
                raise AssertionError(f"{error}: {error.read().decode()}") from None
        if time.monotonic() > until:
            raise AssertionError(f"not within {seconds:g} s")
        time.sleep(0.1)


def helm(plane: ControlPlane, *arguments: str | Path) -> str:
    """Run Helm against the API server and return what it printed."""
    command = [str(tool("helm4")), *map(str, arguments)]
    done = subprocess.run(command, env=plane.environment(), capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, f"helm {arguments[0]}: {done.stderr}"
    return done.stdout


def secret(plane: ControlPlane, namespace: str, name: str, **values: str) -> None:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
    plane.ask(f"/api/v1/namespaces/{namespace}/secrets", "POST", body)


def refusals(plane: ControlPlane, namespace: str) -> list[str]:
    """Return every warning event of a namespace that says that a pod was not let in."""
    events = plane.ask(f"/api/v1/namespaces/{namespace}/events")["items"]
    return [each["message"] for each in events if each["reason"] == "FailedCreate"]


def bare(pod: Manifest, namespace: str) -> Manifest:
    """Return the pod of a workload as one of its own."""
    found = copy.deepcopy(pod)
    labels = found["metadata"].get("labels", {})
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"generateName": "pod-", "namespace": namespace, "labels": labels},
        "spec": {**found["spec"], **ELSEWHERE},
    }  # fmt: skip


def test_the_namespace_lets_no_pod_in_that_is_not_restricted(plane: ControlPlane, namespace: str) -> None:
    """So that the others show something."""
    body = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "open"},
        "spec": {"containers": [{"name": "one", "image": "one"}]},
    }  # fmt: skip

    with pytest.raises(urllib.error.HTTPError) as refused:
        plane.ask(f"/api/v1/namespaces/{namespace}/pods?dryRun=All", "POST", body)

    assert "violates PodSecurity" in refused.value.read().decode()


def test_every_pod_of_every_values_file_is_let_in(
    plane: ControlPlane, namespace: str, rendered: Sequence[Rendered]
) -> None:
    pods = [(each, pod) for each in rendered for manifest in each.manifests if (pod := pod_of(manifest)) is not None]
    assert len(pods) > 20

    for each, pod in pods:
        body = bare(pod, namespace)
        try:
            plane.ask(f"/api/v1/namespaces/{namespace}/pods?dryRun=All", "POST", body)
        except urllib.error.HTTPError as error:
            pytest.fail(f"{each.case}: {error.read().decode()}")


@pytest.mark.usefixtures("definitions")
def test_the_api_server_knows_every_field_of_every_values_file(
    plane: ControlPlane, namespace: str, rendered: Sequence[Rendered], tmp_path: Path
) -> None:
    for each in rendered:
        found = [copy.deepcopy(manifest) for manifest in each.manifests]
        for manifest in found:
            manifest["metadata"]["namespace"] = namespace
            if manifest["kind"] == "Pod":
                manifest["spec"] |= ELSEWHERE
        (tmp_path / f"{each.case}.yaml").write_text(yaml.safe_dump_all(found), "utf-8")
        arguments = [
            "apply",
            "--dry-run=server",
            "--validate=strict",
            "--filename",
            str(tmp_path / f"{each.case}.yaml"),
        ]
        command = [str(tool("kubectl")), *arguments]
        done = subprocess.run(command, env=plane.environment(), capture_output=True, text=True, check=False)  # noqa: S603
        assert done.returncode == 0, f"{each.case}: {done.stderr}"
        assert "unknown" not in done.stderr


@pytest.mark.usefixtures("definitions")
def test_what_strimzi_keeps_outlives_the_release_and_is_taken_up_again(plane: ControlPlane, namespace: str) -> None:
    chosen = ["--namespace", namespace, "--values", str(VALUES / "mutual.yaml")]
    topics = f"/apis/kafka.strimzi.io/v1beta2/namespaces/{namespace}/kafkatopics"
    without_jobs = ["--no-hooks", "orders", str(CHART)]

    helm(plane, "install", *chosen, *without_jobs)
    made = {each["metadata"]["name"] for each in plane.ask(topics)["items"]}
    helm(plane, "uninstall", "orders", "--namespace", namespace, "--no-hooks")
    kept = {each["metadata"]["name"] for each in plane.ask(topics)["items"]}
    helm(plane, "install", *chosen, *without_jobs)

    assert made == kept == {"orders.commands", "orders.commands-dlt", "orders.events"}
    assert {each["metadata"]["name"] for each in plane.ask(topics)["items"]} == made
    assert not refusals(plane, namespace)


def test_a_release_lives_through_install_upgrade_rollback_and_uninstall(
    plane: ControlPlane,
    namespace: str,
    kafka_bootstrap: str,
    database: PostgresServer,
    registry: str,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump(_values(kafka_bootstrap, registry)), "utf-8")
    chosen = ["--namespace", namespace, "--values", str(values), "--wait", "--timeout", TIMEOUT]
    secret(plane, namespace, "orders-database", DATABASE_URL=database.url())
    with Node(plane, namespace, {IMAGE: [sys.executable, "-m", "service"]}) as node:
        begun = time.monotonic()
        printed = helm(plane, "install", "orders", CHART, *chosen)
        seconds = time.monotonic() - begun
        assert "Send it a command" in printed, node.problems
        assert not refusals(plane, namespace)
        assert _ended(node) == ["orders-migrate", "orders-topics", "orders-schemas"]
        assert len(_pods(plane, namespace)) == 2
        assert _partitions(kafka_bootstrap) == {"shop.commands": 3, "shop.commands-dlt": 3}

        assert "orders.OrderCreated" in _send(_settings(plane, namespace))
        helm(plane, "test", "orders", "--namespace", namespace, "--timeout", TIMEOUT)

        node.watch_capacity()
        helm(plane, "upgrade", "orders", CHART, *chosen, "--set", "config.MAX_IN_FLIGHT=7")
        assert _settings(plane, namespace)["MAX_IN_FLIGHT"] == "7"
        helm(plane, "rollback", "orders", "1", "--namespace", namespace, "--wait", "--timeout", TIMEOUT)
        assert "MAX_IN_FLIGHT" not in _settings(plane, namespace)
        assert node.fewest_ready == 2, "a rollout lost capacity"

        helm(plane, "uninstall", "orders", "--namespace", namespace, "--wait", "--timeout", TIMEOUT)
        wait(lambda: not _pods(plane, namespace))
        stopped = [code for pod, container, code in node.exits if container == "service"]
    record_property(
        MEASURED,
        f"API server ready in {plane.seconds:.1f} s; helm install to ready in {seconds:.1f} s, jobs and two pods",
    )

    assert stopped == [0] * 6
    left = plane.ask(f"/api/v1/namespaces/{namespace}/configmaps")["items"]
    assert {each["metadata"]["name"] for each in left} == {"kube-root-ca.crt"}
    assert not refusals(plane, namespace)


def _values(bootstrap: str, registry: str) -> dict[str, Any]:
    return {
        "image": {"repository": IMAGE.partition(":")[0]},
        "kafka": {"bootstrapServers": bootstrap, "groupId": f"orders of {time.monotonic_ns()}"},
        "topics": {
            "commands": [{"name": "shop.commands", "partitions": 3}],
            "events": [{"name": "orders.events", "partitions": 3}],
        },
        "database": {"existingSecret": "orders-database"},
        "schemaRegistry": {"url": registry},
    }


def _pods(plane: ControlPlane, namespace: str) -> list[Manifest]:
    path = f"/api/v1/namespaces/{namespace}/pods?labelSelector=app.kubernetes.io/component=service"
    found: list[Manifest] = plane.ask(path)["items"]
    return found


def _settings(plane: ControlPlane, namespace: str) -> dict[str, str]:
    found: dict[str, str] = plane.ask(f"/api/v1/namespaces/{namespace}/configmaps/orders-settings")["data"]
    return found


def _ended(node: Node) -> list[str]:
    """Return the jobs whose pods have ended well, in order."""
    return [pod.rpartition("-")[0] for pod, container, code in node.exits if container != "service" and code == 0]


def _partitions(bootstrap: str) -> dict[str, int]:
    topics = AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=10).topics
    return {name: len(topic.partitions) for name, topic in topics.items() if name.startswith("shop.")}


def _send(settings: dict[str, str]) -> str:
    """Send a command as the notes say, with the settings that a shell in the pod has, and return what was printed."""
    environment = {**settings, "PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "service", "send", "orders.CreateOrder", ORDER]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
