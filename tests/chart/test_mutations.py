"""Break the chart on purpose, in many ways: schemas and rules notice each one."""

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.chart import rules, schemas
from tests.chart.conftest import tool
from tests.chart.documented_values import CHART
from tests.chart.mutations import MUTATIONS, Mutation
from tests.chart.rendering import RefusedException, Rendered, render

pytestmark = pytest.mark.chart


TELLING = ("secured", "strimzi", "smallest")
"""The values files that bring out most: rendered first, since one that is noticed is enough."""


def noticed(helm: Path, chart: Path, sound: Sequence[Rendered]) -> str:
    """Return what is noticed first of a broken chart; nothing when nobody notices."""
    for known in sorted(sound, key=lambda each: each.case not in TELLING):
        try:
            found = render(helm, known.case, chart=chart)
        except RefusedException as error:
            return f"Helm: {error}"
        try:
            if said := next(_problems(found, known), ""):
                return said
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return ""


def _problems(found: Rendered, known: Rendered) -> Iterator[str]:
    if found.manifests == known.manifests:
        return
    for manifest in found.manifests:
        if manifest not in known.manifests:
            yield from schemas.problems(manifest, schemas.VERSIONS[-1])
    yield from rules.broken(found)


@pytest.mark.usefixtures("custom_resources")
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_the_mistake_is_noticed(rendered: Sequence[Rendered], tmp_path: Path, mutation: Mutation) -> None:
    helm = tool("helm3")  # the stricter judge: it hands every number of a values file on as a fraction
    chart = shutil.copytree(CHART, tmp_path / "chart")
    file = chart / mutation.path
    text = file.read_text("utf-8")
    assert mutation.found in text, f"{mutation.path} has changed; mend its entry in tests/chart/mutations.py"
    file.write_text(text.replace(mutation.found, mutation.replaced), "utf-8")

    assert noticed(helm, chart, rendered), "schemas and rules are content with this chart"


def test_what_is_not_broken_is_not_noticed(helm: Path, rendered: Sequence[Rendered], tmp_path: Path) -> None:
    chart = shutil.copytree(CHART, tmp_path / "chart")

    assert not noticed(helm, chart, rendered)


def test_every_mistake_has_a_name_of_its_own() -> None:
    assert len(MUTATIONS) >= 15
    assert Counter(each.name for each in MUTATIONS).most_common(1)[0][1] == 1
