"""Where the time goes: stacks are sampled, sorted into stages, and drawn."""

import time
from collections import Counter
from xml.etree import ElementTree

import pytest

from benchmarks.flow.flame import picture, tree
from benchmarks.flow.job import Clock
from benchmarks.flow.sampling import Sampler, short_path
from benchmarks.flow.stages import EVENT_LOOP, NETWORK, STAGES, by_function, by_stage, stage_of
from tests.unit.test_architecture import ROOT

LOOP = "asyncio/base_events.py:run_forever"
STACKS = Counter(
    {
        (LOOP, "cqrs/messaging/workers.py:Workers._work", "cqrs/command/bus.py:send"): 6,
        (LOOP, "cqrs/messaging/workers.py:Workers._work", "cqrs/command/bus.py:send", "cqrs/avro/encoder.py:encode"): 3,
        (LOOP, "cqrs/kafka/consumer.py:poll"): 1,
    }
)


@pytest.mark.parametrize(
    ("frames", "stage"),
    [
        ((LOOP,), EVENT_LOOP),
        ((LOOP, "aiokafka/conn.py:send"), NETWORK),
        ((LOOP, "aiokafka/producer/sender.py:run", "aiokafka/conn.py:send"), "publish"),
        ((LOOP, "cqrs/messaging/metrics.py:measured", "cqrs/command/bus.py:send", "uuid.py:uuid4"), "bus"),
        ((LOOP, "cqrs/command/bus.py:send", "cqrs/messaging/metrics.py:measured"), "metrics"),
        ((LOOP, "cqrs/avro/decoder.py:decode"), "decode"),
        ((LOOP, "cqrs/avro/encoder.py:encode", "fastavro/write.py:write"), "encode"),
    ],
)
def test_a_stack_belongs_to_the_innermost_stage(frames: tuple[str, ...], stage: str) -> None:
    assert stage_of(frames) == stage


def test_every_path_of_ours_that_a_stage_names_is_there() -> None:
    own = ("cqrs/", "service/", "benchmarks/")
    paths = [path for stage in STAGES.values() for path in stage if path.startswith(own)]

    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_samples_are_summed_by_stage_and_by_function() -> None:
    assert by_stage(STACKS) == {"bus": 6, "encode": 3, "poll": 1}
    assert by_function(STACKS)["cqrs/command/bus.py:send"] == 6


def test_a_path_is_named_from_its_package_on() -> None:
    assert short_path("/x/.venv/lib/site-packages/aiokafka/client.py") == "aiokafka/client.py"
    assert short_path("/x/cqrs/kafka/consumer.py") == "cqrs/kafka/consumer.py"
    assert short_path("/usr/lib/python3.11/asyncio/events.py") == "asyncio/events.py"


def test_the_sampler_sees_what_is_busy_while_the_clock_runs_and_nothing_else() -> None:
    clock = Clock(100)
    sampler = Sampler(clock)

    def busy() -> None:
        end = time.process_time() + 0.05
        while time.process_time() < end:
            pass

    with sampler.at_work():
        busy()
        assert not sampler.stacks
        clock.count(10)
        busy()
        clock.count(90)
        seen = sampler.stacks.total()
        busy()

    assert seen == sampler.stacks.total() > 0
    assert all(any("busy" in frame for frame in stack) for stack in sampler.stacks)


def test_the_picture_is_svg_with_a_bar_for_each_function_as_wide_as_its_share() -> None:
    drawn = ElementTree.fromstring(picture(STACKS, "ours & <all>", 2.0))  # noqa: S314 - made here
    space = {"svg": "http://www.w3.org/2000/svg"}
    bars = {
        bar.findtext("svg:title", "", space): float(bar.find("svg:rect", space).attrib["width"])  # type: ignore[union-attr]
        for bar in drawn.iterfind(".//svg:g", space)
    }

    encode = next(width for title, width in bars.items() if "encode" in title)
    assert encode == pytest.approx(1_200 * 0.3, abs=1)
    assert "6.0 us by message" in next(title for title in bars if "encode" in title)
    assert "ours & <all>" in "".join(drawn.itertext())


def test_the_trunk_that_all_stacks_share_is_left_out() -> None:
    assert tree(STACKS).name == LOOP
