import os
import random
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs.testing.growth import Sample, growths, sample, slope


def samples(memory: list[float], **fixed: int) -> list[Sample]:
    given = {"threads": 5, "sockets": 9, "files": 7, "tasks": 110} | fixed
    return [Sample(float(number), each, **given) for number, each in enumerate(memory)]


def held(at: int, memory: float = 100.0, sockets: int = 9) -> Sample:
    return Sample(float(at), memory, threads=5, sockets=sockets, files=7, tasks=110)


@given(st.floats(-5, 5), st.floats(-1_000, 1_000), st.integers(0, 10**6))
def test_a_fifth_of_the_points_may_be_anything(rise: float, start: float, seed: int) -> None:
    chance = random.Random(seed)
    points = [(float(x), start + rise * x) for x in range(60)]
    for at in chance.sample(range(60), 12):
        points[at] = (float(at), chance.uniform(-(10**6), 10**6))

    assert abs(slope(points) - rise) < 1e-6 or abs(slope(points) - rise) < abs(rise) * 0.5 + 1e-3


def test_a_straight_line_has_its_slope_and_nothing_has_none() -> None:
    assert slope([(0.0, 1.0), (2.0, 5.0), (4.0, 9.0)]) == 2.0
    assert slope([(0.0, 1.0)]) == 0.0


def test_what_stays_is_flat_whatever_happens_in_the_warm_up() -> None:
    noise = random.Random(1)
    found = growths(samples([100.0 + 20 * min(at, 25) / 25 + noise.uniform(-2, 2) for at in range(100)]))

    assert all(each.is_flat for each in found), [str(each) for each in found]


def test_memory_that_grows_steadily_is_found() -> None:
    (memory, *others) = growths(samples([100.0 + at * 0.2 for at in range(100)]))

    assert not memory.is_flat
    assert all(each.is_flat for each in others)


def test_one_thing_more_now_and_then_is_found() -> None:
    grown = [Sample(float(at), 100.0, threads=5, sockets=9 + at // 20, files=7, tasks=110) for at in range(100)]

    assert [each.name for each in growths(grown) if not each.is_flat] == ["sockets"]


@pytest.mark.parametrize("percent", [40, 50, 60, 70, 80, 90])
def test_a_jump_that_lasts_is_found_wherever_it_lies(percent: int) -> None:
    found = growths([held(at, memory=900.0 if at >= percent else 100.0) for at in range(100)])
    assert [each.name for each in found if not each.is_flat] == ["memory"]
    assert found[0].growth >= 800.0

    found = growths([held(at, sockets=260 if at >= percent else 26) for at in range(100)])
    assert [each.name for each in found if not each.is_flat] == ["sockets"]


@pytest.mark.parametrize("seed", range(20))
def test_a_pool_that_fills_and_empties_is_flat_and_a_jump_of_it_is_not(seed: int) -> None:
    """As the sockets of the soak: ten connections more for a while, now and then, up to the end or not."""
    chance = random.Random(seed)
    full = [each for _ in range(100) for each in [chance.random() < 0.5] * chance.randint(3, 15)]
    assert all(each.is_flat for each in growths([held(at, sockets=23 + 10 * full[at]) for at in range(300)]))

    jumped = [held(at, sockets=23 + 10 * full[at] + 7 * (at >= 180)) for at in range(300)]
    assert [each.name for each in growths(jumped) if not each.is_flat] == ["sockets"]


@pytest.mark.parametrize("seed", range(20))
def test_spikes_and_dips_count_for_nothing_the_last_samples_included(seed: int) -> None:
    chance = random.Random(seed)
    odd = {*chance.sample(range(25, 100), 7), 97, 98, 99}
    found = growths([held(at, memory=100.0 + chance.uniform(-90, 900) * (at in odd)) for at in range(100)])

    assert all(each.is_flat for each in found), [str(each) for each in found]


@pytest.mark.parametrize("at_sample", [40, 60, 80])
def test_one_step_is_judged_by_what_is_allowed(at_sample: int) -> None:
    def stepped(by: float) -> bool:
        return growths(samples([120.0 + by * (at >= at_sample) for at in range(100)]))[0].is_flat

    assert stepped(5.9)
    assert not stepped(6.5)


def test_what_shrinks_or_was_hardly_sampled_does_not_grow() -> None:
    assert growths(samples([200.0 - at for at in range(100)]))[0].growth == pytest.approx(-74)
    assert growths(samples([100.0]))[0].growth == 0.0
    assert growths(samples([100.0] * 7 + [500.0]))[0].is_flat


def test_this_process_is_looked_at() -> None:
    found = sample(os.getpid(), 1.5, 3)

    assert found.memory > 10
    assert found.threads >= 1
    assert found.files >= 3
    assert (found.seconds, found.tasks) == (1.5, 3)


def test_a_process_that_has_ended_is_no_process() -> None:
    """One that nobody has waited for is still in the list, and has no memory."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

        with pytest.raises(ProcessLookupError, match=rf"process {process.pid} has ended"):
            sample(process.pid, 1.0)

    with pytest.raises(OSError, match=f"{process.pid}"):
        sample(process.pid, 1.0)
