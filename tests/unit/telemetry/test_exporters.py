import threading
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from cqrs.telemetry.exporters import StoppableExporter


class Collector(SpanExporter):
    def __init__(self, result: SpanExportResult = SpanExportResult.SUCCESS) -> None:
        self.result = result
        self.batches: list[int] = []
        self.stops = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.batches.append(len(spans))
        return self.result

    def shutdown(self) -> None:
        self.stops += 1


def batch(size: int) -> list[ReadableSpan]:
    return [ReadableSpan(name=str(number)) for number in range(size)]


def nothing(_spans: int, _taken: bool) -> None:
    return


def test_what_the_collector_takes_is_told() -> None:
    told: list[tuple[int, bool]] = []
    collector = Collector()
    exporter = StoppableExporter(collector, lambda spans, taken: told.append((spans, taken)))
    assert exporter.export(batch(3)) is SpanExportResult.SUCCESS
    assert (collector.batches, told, exporter.refused) == ([3], [(3, True)], 0)


def test_what_the_collector_refuses_is_told_and_counted() -> None:
    told: list[tuple[int, bool]] = []
    collector = Collector(SpanExportResult.FAILURE)
    exporter = StoppableExporter(collector, lambda spans, taken: told.append((spans, taken)))
    assert exporter.export(batch(3)) is SpanExportResult.FAILURE
    assert exporter.export(batch(1)) is SpanExportResult.FAILURE
    assert (told, exporter.refused) == ([(3, False), (1, False)], 4)


def test_an_exporter_that_raises_has_refused() -> None:
    class Broken(Collector):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            raise ConnectionError

    told: list[tuple[int, bool]] = []
    exporter = StoppableExporter(Broken(), lambda spans, taken: told.append((spans, taken)))
    with pytest.raises(ConnectionError):
        exporter.export(batch(2))
    assert (told, exporter.refused) == ([(2, False)], 2)


def test_nothing_is_sent_after_the_shutdown() -> None:
    collector = Collector()
    exporter = StoppableExporter(collector, nothing)
    exporter.shutdown()
    assert exporter.export(batch(2)) is SpanExportResult.FAILURE
    assert (collector.batches, exporter.refused) == ([], 2)


def test_the_exporter_is_shut_down_once_by_however_many_threads() -> None:
    collector = Collector()
    exporter = StoppableExporter(collector, nothing)
    threads = [threading.Thread(target=exporter.shutdown) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert collector.stops == 1
