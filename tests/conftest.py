"""What holds for every test: no deadlines of Hypothesis's own, and no missing server behind a green run."""

import os
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from typing import Protocol

import pytest
from hypothesis import settings

from cqrs.tracing.correlation import CorrelationContext

pytest_plugins = ["cqrs.testing.fixtures"]

SERVERS = {
    "kafka": "Java 17 or newer and Maven (Debian: apt-get install -y default-jre-headless maven)",
    "postgres": "PostgreSQL's server (Debian: apt-get install -y postgresql)",
    "registry": "Java 17 or newer and Maven (Debian: apt-get install -y default-jre-headless maven)",
    "redis": "redis-server (Debian: apt-get install -y redis-server)",
    "deploy": "Linux, root, Go 1.24.6 or newer, and what the others need",
    "chart": "pip or uv, Go 1.26, Java 17 and Maven (tests/chart/tools.py says what for)",
    "apiserver": "an API server, built by `make tools` (Go 1.26, once, minutes)",
}
"""What runs the tests that are marked with these names."""

CHART = frozenset({"chart", "apiserver"})
"""Those of them that have a recipe of their own."""

MEASURED = "measured"
"""What a test notes by `record_property(MEASURED, "3 of 4 ...")` stands at the end of the run."""

_NOT_RUN = "not run for want of"
_LEFT_OUT = pytest.StashKey[Counter[str]]()
_WORKER_LEFT_OUT = "left_out"

# A loaded machine is slow now and then; a slow example is no bug. CI repeats itself, developers explore.
settings.register_profile("project", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("project")


class WorkerNode(Protocol):
    """Be a worker of pytest-xdist, as the process that writes the summary sees it."""

    config: pytest.Config


@pytest.fixture(autouse=True)
def no_correlation_is_left() -> Iterator[None]:
    """Let no test inherit the ids that another one set outside of any task."""
    yield
    CorrelationContext.clear()


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Count the tests on servers that `-m` leaves out, as `make test` does."""
    for item in items:
        if item.config.option.markexpr and not item.config.option.keyword:
            counts = item.config.stash.setdefault(_LEFT_OUT, Counter())
            counts.update(server for server in SERVERS if item.get_closest_marker(server))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let a worker of pytest-xdist tell the process that writes the summary what it left out."""
    output: dict[str, object] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        left_out: Counter[str] = session.config.stash.get(_LEFT_OUT, Counter())
        output[_WORKER_LEFT_OUT] = dict(left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: WorkerNode) -> None:
    """Take what a worker left out: each of them collects all tests, so the most that one names is all."""
    told = getattr(node, "workeroutput", {}).get(_WORKER_LEFT_OUT, {})
    node.config.stash.setdefault(_LEFT_OUT, Counter())
    node.config.stash[_LEFT_OUT] |= Counter(told)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note which server a skipped test needs; fail it, when CI=true says that the servers are there."""
    report = yield
    if report.skipped:
        needs = [server for server in SERVERS if item.get_closest_marker(server)]
        report.user_properties += [(_NOT_RUN, server) for server in needs]
        if needs and os.environ.get("CI") == "true":
            report.outcome = "failed"
            report.longrepr = f"with CI=true this may not be skipped: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None, None, None]:
    """Say last of all what was measured, which tests on real servers were not run, and what runs them."""
    yield
    passed = terminalreporter.stats.get("passed", [])
    measured = [(each.nodeid, text) for each in passed for name, text in each.user_properties if name == MEASURED]
    if measured:
        terminalreporter.section("measured")
        terminalreporter.line("\n".join(f"{nodeid}\n    {text}" for nodeid, text in measured))
    skipped = terminalreporter.stats.get("skipped", [])
    for server in SERVERS:
        reasons = [_reason(report) for report in skipped if (_NOT_RUN, server) in report.user_properties]
        if reasons:
            terminalreporter.section(f"{len(reasons)} tests on a real {server} were NOT RUN", yellow=True)
            terminalreporter.line("\n".join(sorted(set(reasons))))
    _tell_what_was_left_out(terminalreporter)


def _tell_what_was_left_out(terminalreporter: pytest.TerminalReporter) -> None:
    left_out = terminalreporter.config.stash.get(_LEFT_OUT, Counter())
    if left_out:
        terminalreporter.section(f"{left_out.total()} tests on real servers were NOT RUN", yellow=True)
        lines = [f"{count} on {server}, which need {SERVERS[server]}" for server, count in left_out.items()]
        recipes = sorted({"make test-chart" if server in CHART else "make test-servers" for server in left_out})
        terminalreporter.line("\n".join([*lines, f"To run them: {' and '.join(recipes)}"]))


def _reason(report: pytest.TestReport) -> str:
    return str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
