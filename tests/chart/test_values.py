"""Values that do not fit are refused at install, all at once and with what to try; the documents say what holds."""

import json
from pathlib import Path

import pytest
import yaml

from tests.chart import values_schema, values_table
from tests.chart.documented_values import CHART, documented_values
from tests.chart.rendering import VALUES, RefusedException, template

SMALLEST, USUAL, SECURED = (VALUES / f"{name}.yaml" for name in ("smallest", "usual", "secured"))

REFUSED = {
    "no image": (SMALLEST, ["image.repository="], "repository"),
    "no brokers": (SMALLEST, ["kafka.bootstrapServers="], "bootstrapServers"),
    "brokers without a port": (SMALLEST, ["kafka.bootstrapServers=kafka"], "bootstrapServers"),
    "a tag in the repository's place": (SMALLEST, ["image.repository=orders@sha256:0"], "repository"),
    "half a digest": (SMALLEST, ["image.digest=sha256:abc"], "digest"),
    "a misspelt value": (SMALLEST, ["kafka.bootstrapServer=x:1"], "bootstrapServer"),
    "a misspelt block": (SMALLEST, ["networkPolicies.enabled=true"], "networkPolicies"),
    "a misspelt setting": (SMALLEST, ["config.MAX_INFLIGHT=3"], "MAX_INFLIGHT"),
    "a setting of a wrong type": (SMALLEST, ["config.MAX_IN_FLIGHT=many"], "MAX_IN_FLIGHT"),
    "a setting that is a value elsewhere": (SMALLEST, ["config.KAFKA_GROUP_ID=x"], "KAFKA_GROUP_ID"),
    "a secret in plain sight": (SMALLEST, ["config.DATABASE_URL=x"], "DATABASE_URL"),
    "a kind that there is not": (SMALLEST, ["kind=DaemonSet"], "kind"),
    "SASL without a mechanism": (SMALLEST, ["kafka.securityProtocol=SASL_SSL"], "mechanism"),
    "a mechanism without SASL": (SMALLEST, ["kafka.sasl.mechanism=PLAIN"], "mechanism"),
    "a password without a secret": (SECURED, ["kafka.sasl.existingSecret="], "existingSecret"),
    "a token from nowhere": (
        SMALLEST,
        ["kafka.securityProtocol=SASL_SSL", "kafka.sasl.mechanism=OAUTHBEARER"],
        "oauthTokenUrl",
    ),
    "a client certificate without TLS": (SMALLEST, ["kafka.tls.client.existingSecret=x"], "securityProtocol"),
    "registry credentials without a secret": (USUAL, ["schemaRegistry.auth=basic"], "existingSecret"),
    "Strimzi without its cluster": (USUAL, ["topics.managedBy=strimzi"], "cluster"),
    "no margin for the last spans": (SMALLEST, ["shutdown.marginSeconds=1"], "marginSeconds"),
    "several pods on one SQLite": (SMALLEST, ["replicaCount=2"], "set database.existingSecret and schemaRegistry.url"),
    "scaling on one SQLite": (SMALLEST, ["autoscaling.mode=keda"], "set database.existingSecret"),
    "more pods than partitions": (
        USUAL,
        ["autoscaling.mode=keda", "autoscaling.maxReplicas=4"],
        "more than 3 partitions",
    ),
    "the least above the most": (
        USUAL,
        ["autoscaling.mode=hpa", "autoscaling.minReplicas=4"],
        "above the maximum of 3",
    ),
    "nobody to wake the service": (USUAL, ["autoscaling.mode=hpa", "autoscaling.minReplicas=0"], "only keda"),
    "CPU against nothing": (USUAL, ["autoscaling.mode=hpa", "resources.requests.cpu=null"], "resources.requests.cpu"),
    "partitions given away in a restart": (
        USUAL,
        ["kind=StatefulSet", "staticMembership.sessionTimeoutMs=10000"],
        "given away during a restart",
    ),
    "a topic twice": (USUAL, ["topics.events[0].name=orders.commands", "topics.events[0].partitions=3"], "named twice"),
    "a user that Strimzi cannot make": (
        USUAL,
        ["topics.managedBy=strimzi", "strimzi.cluster=main"],
        "strimzi.user.create to false",
    ),
    "KEDA with a token in a file": (
        VALUES / "hpa.yaml",
        ["autoscaling.mode=keda"],
        "KEDA cannot read OAUTHBEARER's token from a file",
    ),
}


@pytest.mark.chart
@pytest.mark.parametrize("mistake", REFUSED)
def test_a_mistake_is_refused_with_what_is_wrong(every_helm: Path, mistake: str) -> None:
    values, changes, said = REFUSED[mistake]
    arguments = [part for change in changes for part in ("--set", change)]

    with pytest.raises(RefusedException, match=said):
        template(every_helm, "--values", values, *arguments)


@pytest.mark.chart
def test_all_that_does_not_go_together_is_said_at_once(helm: Path) -> None:
    changes = [
        "--set",
        "autoscaling.mode=hpa",
        "--set",
        "autoscaling.minReplicas=0",
        "--set",
        "autoscaling.maxReplicas=9",
    ]

    with pytest.raises(RefusedException) as refused:
        template(helm, "--values", USUAL, *changes)

    assert "more than 3 partitions" in str(refused.value)
    assert "only keda" in str(refused.value)


@pytest.mark.chart
def test_a_parent_chart_may_hand_down_its_global_values(helm: Path) -> None:
    assert template(helm, "--values", SMALLEST, "--set", "global.region=eu")


def test_the_schema_is_the_one_that_is_made_from_the_values() -> None:
    assert values_schema.SCHEMA.read_text("utf-8") == values_schema.render(), "run `make docs` and commit the schema"


def test_the_table_in_the_charts_readme_is_that_of_the_values() -> None:
    table = (
        values_table.README.read_text("utf-8").partition(values_table.BEGIN)[2].partition(values_table.END)[0].strip()
    )

    assert table == values_table.values_table(), "run `make docs` and commit helm/README.md"


def test_the_schema_is_closed_wherever_the_chart_names_what_may_stand_there() -> None:
    schema = json.loads(values_schema.SCHEMA.read_text("utf-8"))
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))

    assert not list(_open(values, schema, ""))
    assert "$ref" not in values_schema.SCHEMA.read_text("utf-8")


def _open(values: dict[str, object], schema: dict[str, object], path: str) -> list[str]:
    """Return the blocks with values of their own that take any others too."""
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return []
    found = [] if schema.get("additionalProperties") is False else [path]
    for key, value in values.items():
        if isinstance(value, dict):
            found += _open(value, properties[key], f"{path}.{key}")
    return found


def test_every_value_is_described_in_one_sentence() -> None:
    described = documented_values()

    assert len(described) > 100
    assert not [each.name for each in described if len(each.help) < 8]


def test_a_value_without_a_description_is_found(tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text("# -- What it is\none: 1\nblock:\n  two: 2\n", "utf-8")

    with pytest.raises(ValueError, match=r"block\.two"):
        documented_values(tmp_path)


def test_what_schema_and_table_say_comes_from_the_comment(tmp_path: Path) -> None:
    text = "# @section First\n\n# -- (int, required) How\n# many\none: null\nblock:\n  # -- Where\n  two: []\n"
    (tmp_path / "values.yaml").write_text(text, "utf-8")

    found = documented_values(tmp_path)

    assert [(each.name, each.type, each.required, each.help, each.section) for each in found] == [
        ("one", "int", True, "How many", "First"),
        ("block.two", "list", False, "Where", "First"),
    ]
