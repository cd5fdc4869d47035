import gc
import subprocess
import sys

from cqrs.garbage import YOUNG_OBJECTS

TUNED = """
import gc
from cqrs.garbage import tune_garbage_collection

class Kept: pass

before, kept = gc.get_threshold(), Kept()
tune_garbage_collection()
ring = []
ring.append(ring)
print(gc.get_freeze_count() > 0, gc.get_threshold()[0], gc.get_threshold()[1:] == before[1:], gc.isenabled())
del ring
print(gc.collect() > 0)
"""


def test_what_stays_is_collected_no_more_and_what_comes_is() -> None:
    thresholds = gc.get_threshold()
    done = subprocess.run([sys.executable, "-c", TUNED], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.split("\n")[:2] == [f"True {YOUNG_OBJECTS} True True", "True"]
    assert gc.get_threshold() == thresholds, "of this process nothing was changed"
