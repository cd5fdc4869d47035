"""Garbage collection as a process wants it that makes and drops many small objects: seldom, and not of what stays."""

import gc

YOUNG_OBJECTS = 10_000
"""How many more objects than were freed are made before the young ones are looked through; Python's own is 700."""


def tune_garbage_collection() -> None:
    """Take what the process has made so far out of every later collection, and collect the young less often.

    Modules, schemas, handlers and clients stay until the end; looking through them again and again took a sixth of the
    time of a service under load. What is made from now on is collected as before.
    """
    gc.collect()
    gc.freeze()
    _, second, third = gc.get_threshold()
    gc.set_threshold(YOUNG_OBJECTS, second, third)
