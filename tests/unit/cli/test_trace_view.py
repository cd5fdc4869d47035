from cqrs.cli.trace_view import trace_view
from cqrs.telemetry.span_memory import FinishedSpan, span_tree
from tests.unit.cli.rendering import rendered

MS = 1_000_000


def span(name: str, own: str, parent: str | None, start_ms: int, end_ms: int, **more: object) -> FinishedSpan:
    status = str(more.pop("status", "unset"))
    description = str(more.pop("description", "")) or None
    return FinishedSpan(name, "internal", "t1", own, parent, start_ms * MS, end_ms * MS, more, status, description)


def test_a_trace_is_a_tree_with_durations_and_its_correlation_id() -> None:
    place = {"messaging.destination.partition.id": "1", "messaging.kafka.offset": 7}
    spans = [
        span("handle H", "c", "b", 3, 5, correlation_id="corr"),
        span("send e", "d", "b", 6, 7, correlation_id="corr"),
        span("command C", "b", "a", 2, 8, correlation_id="corr"),
        span("send c", "a", None, 1, 9, correlation_id="corr", **place),
    ]

    assert rendered(trace_view("t1", span_tree(spans))).splitlines() == [
        "trace t1",
        "correlation id corr",
        "└── send c  8.0 ms  +0.0  [1]@7",
        "    └── command C  6.0 ms  +1.0",
        "        ├── handle H  2.0 ms  +2.0",
        "        └── send e  1.0 ms  +5.0",
    ]


def test_a_deep_trace_keeps_within_a_narrow_terminal() -> None:
    parents = [None, *map(str, range(5))]
    chain = [span(f"command shop.Do{n}", str(n), parent, n, 99) for n, parent in enumerate(parents)]

    shown = rendered(trace_view("0" * 32, span_tree(chain)), width=40)  # which measures every line

    assert "Do5" in shown


def test_a_failed_span_says_why_in_one_line() -> None:
    failed = span("process c", "a", None, 1, 2, status="error", description="Sold\nout " + "x" * 200)

    line = rendered(trace_view("t1", span_tree([failed])), width=120).splitlines()[-1]

    assert line.startswith("└── process c  1.0 ms  +0.0  Sold\\nout xxx")
    assert len(line) < 100


def test_several_correlation_ids_are_all_told() -> None:
    spans = [span("a", "a", None, 1, 2, correlation_id="one"), span("b", "b", "a", 1, 2, correlation_id="two")]

    shown = rendered(trace_view("t1", span_tree(spans)))

    assert "correlation id one\ncorrelation id two" in shown


def test_a_trace_may_be_deeper_than_the_stack_and_may_be_empty() -> None:
    chain = [span(f"s{number}", str(number), str(number - 1) if number else None, number, 99) for number in range(60)]

    assert "s59" in rendered(trace_view("t1", span_tree(chain)), width=400)
    assert rendered(trace_view("t1", ())) == "trace t1"
