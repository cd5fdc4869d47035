"""Ports for the servers of tests, apart from those that the system gives to connections."""

import random
import socket
from contextlib import ExitStack, suppress
from itertools import cycle

_PORTS = range(20_000, 32_000)
"""Below those that systems give to outgoing connections: one of these could take the port of a server that is away, or,
trying to reach it, connect to itself."""

# Not by the generator that a test run seeds: all of its workers would walk the same ports.
_candidates = cycle(random.SystemRandom().sample(_PORTS, len(_PORTS)))


def free_ports(count: int) -> list[int]:
    """Return so many ports of 127.0.0.1 that nobody listens on, each given out once in this process."""
    with ExitStack() as stack:
        ports: list[int] = []
        while len(ports) < count:
            each, port = stack.enter_context(socket.socket()), next(_candidates)
            with suppress(OSError):  # Else somebody has it.
                each.bind(("127.0.0.1", port))
                ports.append(port)
        return ports
