"""Alerts fire when they should and not otherwise; rules and dashboard name metrics that the service tells."""

import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from cqrs.command.metrics import METRICS as BUS
from cqrs.messaging.gauges import GAUGES
from cqrs.messaging.metrics import METRICS as DELIVERY
from cqrs.telemetry.metrics import METRICS as TELEMETRY
from cqrs.telemetry.metrics import PrometheusMetrics
from tests.chart.documented_values import CHART
from tests.chart.rendering import Rendered, render

RULES = CHART / "rules" / "alerts.yaml"
DASHBOARD = CHART / "dashboards" / "service.json"
RUNBOOK = CHART.parent / "docs" / "runbook.md"
SCENARIOS = Path(__file__).parent / "alerts"

PROCESS = {f"process_{name}" for name in ("cpu_seconds_total", "resident_memory_bytes", "open_fds")}
"""What prometheus_client tells of a process; on Linux alone."""

WORDS = {
    "abs", "absent", "and", "avg", "bool", "by", "count", "group", "histogram_quantile", "ignoring", "increase", "max",
    "min", "offset", "on", "or", "rate", "sum", "unless", "without", "le",
}  # fmt: skip


def metrics_of(expression: str) -> set[str]:
    """Return the metrics that a PromQL expression names."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(by|on|without|ignoring)\s*\([^)]*\)', " ", expression)
    return {word for word in re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*", bare) if word not in WORDS and len(word) > 1}


def told_by_the_service() -> set[str]:
    """Return every series name that the service can tell."""
    counted = {name for table in (BUS, DELIVERY, TELEMETRY, GAUGES) for name in table}
    timed = {name for name in counted if name.endswith("_seconds") and name not in GAUGES}
    parts = {name + part for name in timed for part in ("_bucket", "_count", "_sum")}
    return (counted - timed) | parts | PROCESS | {"cqrs_build_info"}


def alerts() -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"]:
        yield from group["rules"]


def expressions_of_the_dashboard() -> Iterator[str]:
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield re.sub(r"^label_values\((.*), \w+\)$", r"\1", variable["query"]["query"])


def test_what_the_service_tells_is_what_its_tables_say() -> None:
    """So that the set which the next tests compare with is that of a running service."""
    text = PrometheusMetrics("orders", "1").render()[0].decode()
    declared = set(re.findall(r"^# TYPE (\w+) ", text, flags=re.MULTILINE))

    assert {
        re.sub("_(bucket|count|sum)$", "", name) for name in told_by_the_service() - PROCESS - GAUGES.keys()
    } <= declared


@pytest.mark.parametrize("alert", list(alerts()), ids=lambda alert: str(alert["alert"]))
def test_an_alert_names_metrics_of_the_service_and_stands_in_the_runbook(alert: dict[str, Any]) -> None:
    named = metrics_of(alert["expr"])

    assert named
    assert named <= told_by_the_service()
    assert alert["labels"]["severity"] in ("critical", "warning", "info")
    assert f"\n## {alert['alert']}\n" in RUNBOOK.read_text("utf-8")
    assert all('job="orders"' in each for each in re.findall(r"\{([^}]*)\}", alert["expr"]))


def test_the_dashboard_names_metrics_of_the_service() -> None:
    named = {name for expression in expressions_of_the_dashboard() for name in metrics_of(expression)}

    assert len(named) > 20
    assert named <= told_by_the_service()


def test_the_dashboard_shows_every_metric_that_an_alert_watches() -> None:
    shown = {name for expression in expressions_of_the_dashboard() for name in metrics_of(expression)}
    families = {re.sub("_(bucket|count|sum)$", "", name) for name in shown}
    watched = {re.sub("_(bucket|count|sum)$", "", name) for alert in alerts() for name in metrics_of(alert["expr"])}

    assert watched - {"cqrs_lost_events_total"} <= families


def test_a_metric_that_there_is_not_is_found() -> None:
    assert metrics_of('sum by (topic) (rate(messaging_lost_total{job="orders"}[10m])) > 0') == {"messaging_lost_total"}
    assert "messaging_lost_total" not in told_by_the_service()


@pytest.mark.chart
def test_every_alert_has_a_scenario_in_which_it_fires_and_one_in_which_it_does_not(promtool: Path) -> None:
    """As Prometheus itself evaluates them; the scenarios stand in `alerts/`."""
    tested = set()
    for path in sorted(SCENARIOS.glob("*.yaml")):
        done = run(promtool, "test", "rules", path)
        assert done.returncode == 0, done.stdout + done.stderr
        for scenario in yaml.safe_load(path.read_text("utf-8"))["tests"]:
            tested |= {(each["alertname"], bool(each.get("exp_alerts"))) for each in scenario["alert_rule_test"]}
    names = {alert["alert"] for alert in alerts()}

    assert {name for name, fires in tested if fires} == names
    assert {name for name, fires in tested if not fires} == names


@pytest.mark.chart
def test_prometheus_reads_the_rules_of_the_file_and_those_of_the_chart(
    promtool: Path, rendered: Sequence[Rendered], tmp_path: Path
) -> None:
    rule = next(found for each in rendered for found in each.of("PrometheusRule"))
    (tmp_path / "chart.yaml").write_text(yaml.safe_dump(rule["spec"]), "utf-8")

    for path in (RULES, tmp_path / "chart.yaml"):
        done = run(promtool, "check", "rules", path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"SUCCESS: {len(list(alerts()))} rules found" in done.stdout


@pytest.mark.chart
def test_the_chart_says_whose_metrics_are_meant_and_takes_thresholds_from_its_values(helm: Path) -> None:
    found = render(
        helm, "secured", "--set", "monitoring.rules.lagSeconds=77", "--set", "monitoring.rules.commitAgeSeconds=66"
    )
    rules = {each["alert"]: each for each in found.one("PrometheusRule")["spec"]["groups"][0]["rules"]}

    assert all('namespace="shop",job="orders"' in each["expr"] for each in rules.values())
    assert rules["ServiceLagging"]["expr"].endswith("> 77")
    assert rules["ServiceCommitStalled"]["expr"].endswith("> 66")
    assert rules["ServiceStuck"]["annotations"]["runbook_url"] == "https://wiki.example.com/orders#servicestuck"
    assert all(each["labels"]["team"] == "shop" for each in rules.values())


@pytest.mark.chart
def test_the_dashboards_configmap_holds_the_dashboard(rendered: Sequence[Rendered]) -> None:
    [found] = [
        each for case in rendered for each in case.of("ConfigMap") if each["metadata"]["name"] == "orders-dashboard"
    ]

    assert json.loads(found["data"]["service.json"]) == json.loads(DASHBOARD.read_text("utf-8"))
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"


def run(promtool: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(promtool), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the fixture's own program
