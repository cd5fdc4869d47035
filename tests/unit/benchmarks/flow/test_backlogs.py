from benchmarks.flow.backlogs import HEAD, Backlog, lengths, missed, rows
from benchmarks.flow.workers import Measured


def backlog(messages: int, cpu: float, peak: float) -> Backlog:
    return Backlog(messages, Measured(1e6 / cpu, cpu, 0.0, peak))


def test_backlogs_grow_by_ten() -> None:
    assert lengths(1) == [10_000]
    assert lengths(1_000_000) == [10_000, 100_000, 1_000_000]


def test_what_stays_flat_is_no_miss() -> None:
    assert missed([backlog(10_000, 50, 100), backlog(1_000_000, 55, 120)]) == []
    assert missed([backlog(10_000, 50, 100)]) == []


def test_memory_and_cpu_that_grow_are_both_named() -> None:
    memory, cpu = missed([backlog(10_000, 50, 100), backlog(100_000, 60, 150)])

    assert "takes 1.50 of the memory of 10,000" in memory
    assert "takes 1.20 of the CPU a message of 10,000" in cpu


def test_each_backlog_has_a_line() -> None:
    assert rows([backlog(10_000, 50, 100)]) == [("10,000", "20,000", "50.0", "100", "")]
    assert len(HEAD) == 5
