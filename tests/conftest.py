"""What holds for every test: no deadlines of Hypothesis's own, and no missing server behind a green run."""

import os
from collections.abc import Generator

import pytest
from hypothesis import settings

SERVERS = ("kafka", "postgres", "redis")

# A loaded machine is slow now and then; a slow example is no bug. CI repeats itself, developers explore.
settings.register_profile("project", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("project")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that needs a server and skips itself, when CI=true says that the servers are there."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and any(map(item.get_closest_marker, SERVERS)):
        report.outcome = "failed"
        report.longrepr = f"with CI=true this may not be skipped: {report.longrepr}"
    return report


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end which tests on real servers were not run, and what runs them."""
    skipped = terminalreporter.stats.get("skipped", [])
    for server in SERVERS:
        reasons = [_reason(report) for report in skipped if server in report.keywords]
        if reasons:
            terminalreporter.section(f"{len(reasons)} tests on a real {server} were NOT RUN", yellow=True)
            terminalreporter.line("\n".join(sorted(set(reasons))))


def _reason(report: pytest.TestReport) -> str:
    return str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
