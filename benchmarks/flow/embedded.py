"""Be the embedded broker in a process of its own: `python -m benchmarks.flow.embedded [CORE]`.

It prints its address, then makes the topic of each line of standard input (`NAME PARTITIONS`), and ends with it.
"""

import os
import sys

from cqrs.testing.embedded_broker import EmbeddedBroker


def main() -> None:
    """Run until standard input ends."""
    if sys.argv[1:] and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(sys.argv[1])})
    with EmbeddedBroker() as broker:
        _say(broker.bootstrap_servers)
        for line in sys.stdin:
            name, partitions = line.split()
            broker.create_topic(name, int(partitions))
            _say(name)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
