"""Fixtures of the chart's tests: Helm in both versions, and what the values files render to."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from cqrs.testing.fixtures import without_server
from tests.chart import tools
from tests.chart.rendering import Rendered, render_all

HELMS = ("helm3", "helm4")


@pytest.fixture(scope="session")
def helm() -> Path:
    """Give the Helm that most tests use."""
    return tool("helm4")


@pytest.fixture(scope="session", params=HELMS)
def every_helm(request: pytest.FixtureRequest) -> Path:
    """Give Helm 3 and Helm 4, one after the other."""
    return tool(request.param)


@pytest.fixture(scope="session")
def rendered(helm: Path) -> Sequence[Rendered]:
    """Give what each values file of this folder renders to."""
    return render_all(helm)


@pytest.fixture(scope="session")
def custom_resources() -> Path:
    """Give the folder of CustomResourceDefinitions."""
    try:
        return tools.custom_resources()
    except tools.ToolMissingException as error:
        without_server(str(error))


@pytest.fixture(scope="session")
def promtool() -> Path:
    """Give promtool."""
    try:
        return tools.promtool()
    except tools.ToolMissingException as error:
        without_server(str(error))


def tool(name: str) -> Path:
    """Return a program of tools.lock, or skip the test."""
    try:
        return tools.program(name)
    except tools.ToolMissingException as error:
        without_server(str(error))
