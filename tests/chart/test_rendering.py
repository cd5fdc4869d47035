"""What the chart makes is accepted by Kubernetes, fits together, and is what Helm 3 and Helm 4 make alike."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.chart import rules, schemas
from tests.chart.documented_values import CHART
from tests.chart.rendering import CASES, VALUES, Rendered, render, render_all

pytestmark = [pytest.mark.chart, pytest.mark.usefixtures("helm")]

BUILT_IN = (
    "ConfigMap", "Deployment", "HorizontalPodAutoscaler", "Job", "NetworkPolicy", "PersistentVolumeClaim", "Pod",
    "PodDisruptionBudget", "Service", "ServiceAccount", "StatefulSet",
)  # fmt: skip
CUSTOM = ("KafkaTopic", "KafkaUser", "PodMonitor", "PrometheusRule", "ScaledObject", "TriggerAuthentication")


@pytest.mark.parametrize("version", schemas.VERSIONS)
def test_kubernetes_and_the_owners_of_custom_resources_know_every_field(
    rendered: Sequence[Rendered], custom_resources: Path, version: str
) -> None:
    assert custom_resources.is_dir()
    problems = [
        f"{each.case}: {problem}"
        for each in rendered
        for manifest in each.manifests
        for problem in schemas.problems(manifest, version)
    ]

    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_the_objects_fit_together_and_to_the_service(rendered: Sequence[Rendered], rule: rules.Rule) -> None:
    problems = [problem for each in rendered for problem in rules.broken(each, [rule])]

    assert not problems, "\n".join(problems)


def test_the_values_files_bring_out_every_kind_that_the_chart_can_make(rendered: Sequence[Rendered]) -> None:
    kinds = {manifest["kind"] for each in rendered for manifest in each.manifests}

    assert kinds == {*BUILT_IN, *CUSTOM}


def test_every_values_file_says_what_it_is_for() -> None:
    assert len(CASES) >= 8
    assert all((VALUES / f"{case}.yaml").read_text("utf-8").startswith("# ") for case in CASES)


def test_helm_3_and_helm_4_make_the_same(rendered: Sequence[Rendered], every_helm: Path) -> None:
    for ours, theirs in zip(rendered, render_all(every_helm), strict=True):
        assert _sorted(ours) == _sorted(theirs)


def test_a_cluster_that_serves_strimzis_v1_gets_it(helm: Path) -> None:
    found = render(helm, "strimzi", "--api-versions", "kafka.strimzi.io/v1")

    assert {each["apiVersion"] for each in found.manifests if each["kind"].startswith("Kafka")} == {
        "kafka.strimzi.io/v1"
    }


def test_a_team_of_any_name_can_install_it_twice_in_one_namespace(helm: Path) -> None:
    """Two releases share no name and select none of the other's pods."""
    one = render(helm, "usual")
    other = render(helm, "usual", release="orders-two")
    names = [{(each["kind"], each["metadata"]["name"]) for each in found.manifests} for found in (one, other)]

    assert not names[0] & names[1]
    selector = other.workload["spec"]["selector"]["matchLabels"]
    assert not selector.items() <= one.workload["spec"]["template"]["metadata"]["labels"].items()


def test_a_long_release_name_is_cut_to_what_kubernetes_takes(helm: Path) -> None:
    found = render(helm, "usual", release="a" * 53)

    assert all(len(each["metadata"]["name"]) <= 63 for each in found.manifests)
    assert len({(each["kind"], each["metadata"]["name"]) for each in found.manifests}) == len(found.manifests)


def test_changed_settings_change_the_pod_and_other_values_do_not(helm: Path) -> None:
    def pod(*arguments: str) -> object:
        return render(helm, "usual", *arguments).workload["spec"]["template"]

    assert pod() != pod("--set", "config.MAX_IN_FLIGHT=7")
    assert pod() == pod("--set", "podDisruptionBudget.maxUnavailable=2")


def _sorted(rendered: Rendered) -> list[tuple[str, str, object]]:
    return sorted(
        ((each["kind"], each["metadata"]["name"], each) for each in rendered.manifests), key=lambda each: each[:2]
    )


@pytest.mark.parametrize("case", CASES)
def test_helm_finds_nothing_to_complain_of(every_helm: Path, case: str) -> None:
    command = [str(every_helm), "lint", "--strict", "--quiet", "--values", str(VALUES / f"{case}.yaml"), str(CHART)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the fixture's own program

    assert done.returncode == 0, done.stdout + done.stderr
