"""Ports are given out once, and in an order that no seed decides."""

import random
import runpy
from itertools import islice

from cqrs.testing import free_ports


def test_each_port_is_given_out_once() -> None:
    assert len({*free_ports.free_ports(20), *free_ports.free_ports(20)}) == 40


def test_two_processes_with_one_seed_walk_different_ports() -> None:
    assert walk() != walk()


def walk() -> list[int]:
    state = random.getstate()
    random.seed(1)
    try:
        return list(islice(runpy.run_path(free_ports.__file__)["_candidates"], 20))
    finally:
        random.setstate(state)
