"""What is noted is added up as prometheus_client itself would have observed it, whoever notes and whoever reads."""

import random
import threading

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram

from cqrs.telemetry.metrics import BUCKETS
from cqrs.telemetry.tallies import MOST_PENDING, Tallies, Tally


class Series:
    """A counter and a histogram in a registry of their own, with the tallies registered before them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.tallies = Tallies()
        self.registry.register(self.tallies)
        self.counter = Counter("done", "Done.", registry=self.registry)
        self.histogram = Histogram("took_seconds", "Took.", registry=self.registry, buckets=BUCKETS)

    def samples(self) -> dict[tuple[str, str], float]:
        return {
            (sample.name, sample.labels.get("le", "")): sample.value
            for metric in self.registry.collect()
            for sample in metric.samples
            if not sample.name.endswith("_created")
        }


DURATIONS = [*BUCKETS, 0.0, 1e-9, 31.0, *(random.Random(7).expovariate(20) for _ in range(5_000))]


def test_what_is_noted_reads_as_what_is_observed() -> None:
    noted, observed = Series(), Series()
    tally = noted.tallies.add(Tally(noted.counter, noted.histogram))
    for seconds in DURATIONS:
        tally.note(seconds)
        observed.counter.inc()
        observed.histogram.observe(seconds)
    expected = observed.samples()
    found = noted.samples()
    assert found.pop(("took_seconds_sum", "")) == pytest.approx(expected.pop(("took_seconds_sum", "")))
    assert found == expected


def test_reading_twice_counts_once() -> None:
    series = Series()
    tally = series.tallies.add(Tally(series.counter, series.histogram))
    tally.note(0.1)
    assert series.samples()["done_total", ""] == 1
    assert series.samples()["done_total", ""] == 1


def test_a_tally_says_when_it_is_full() -> None:
    series = Series()
    tally = Tally(series.counter, series.histogram)
    for _ in range(MOST_PENDING - 1):
        tally.note(0.1)
    assert not tally.is_full()
    tally.note(0.1)
    assert tally.is_full()
    tally.add_up()
    assert not tally.is_full()


def test_nothing_is_lost_or_counted_twice_between_threads() -> None:
    series = Series()
    tally = series.tallies.add(Tally(series.counter, series.histogram))

    def note() -> None:
        for number in range(5_000):
            tally.note(0.01)
            if number % 100 == 0:
                tally.add_up()

    threads = [threading.Thread(target=note) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    samples = series.samples()
    assert samples["done_total", ""] == samples["took_seconds_count", ""] == 20_000
