import os
import random

from hypothesis import given
from hypothesis import strategies as st

from cqrs.testing.growth import Sample, growths, sample, slope


def samples(memory: list[float], **fixed: int) -> list[Sample]:
    given = {"threads": 5, "sockets": 9, "files": 7, "tasks": 110} | fixed
    return [Sample(float(number), each, **given) for number, each in enumerate(memory)]


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


def test_this_process_is_looked_at() -> None:
    found = sample(os.getpid(), 1.5, 3)

    assert found.memory > 10
    assert found.threads >= 1
    assert found.files >= 3
    assert (found.seconds, found.tasks) == (1.5, 3)
