"""Prometheus and Grafana of compose.yaml find the service, its rules, its dashboard and its traces."""

import yaml

from tests.deploy.compose import addresses_in, services
from tests.deploy.dockerfile import ROOT
from tests.deploy.test_compose import LISTENS, mounts

ALL = services()


def test_prometheus_asks_the_service_and_loads_its_rules() -> None:
    targets = dict(mounts(ALL["prometheus"]))
    content = yaml.safe_load((ROOT / "docs/compose/prometheus.yaml").read_text("utf-8"))
    (job,) = content["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    host, port = target.split(":")

    assert int(port) in LISTENS[host]
    assert "metrics_path" not in job
    mounted = {target: ROOT / source for source, target in targets.items()}
    for rules in content["rule_files"]:
        folder, _, file = rules.rpartition("/")
        assert yaml.safe_load((mounted[folder] / file).read_text("utf-8"))["groups"]


def test_grafana_knows_where_metrics_traces_and_the_dashboard_are() -> None:
    targets = dict(mounts(ALL["grafana"]))
    folder = ROOT / "docs/compose/grafana"
    sources = yaml.safe_load((folder / "datasources/orders.yaml").read_text("utf-8"))["datasources"]
    (provider,) = yaml.safe_load((folder / "dashboards/orders.yaml").read_text("utf-8"))["providers"]

    for source in sources:
        ((host, port),) = addresses_in(source["url"])
        assert port in LISTENS[host]
    assert {source["type"] for source in sources} == {"prometheus", "jaeger"}
    mounted = {target: ROOT / source for source, target in targets.items()}
    assert list(mounted[provider["options"]["path"]].glob("*.json"))
    assert {mounted[f"/etc/grafana/provisioning/{name}"] for name in ("datasources", "dashboards")} == {
        folder / "datasources",
        folder / "dashboards",
    }
