"""The heap of the C library, kept about as large as what lies in it.

glibc takes blocks of 128 KiB and more from the system and gives them back, until one is freed: from then on it takes
blocks of that size from its heap, where small ones that stay keep the space between them. A service that reads batches
of up to a megabyte grew by 2 MiB a minute with nothing new in its heap. With fixed thresholds it does not grow.
"""

import ctypes
import os
import platform
from typing import Final

THRESHOLD_BYTES: Final = 128 * 1024
"""From this size on a block is the system's own, and so much that is free at the heap's end goes back to it."""

# malloc.h; see mallopt(3), also for what sets them otherwise.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_CHOSEN_BY: Final = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def keep_heap_small() -> bool:
    """Fix both thresholds for the process, and say whether that was done.

    It is not where the C library is not glibc, and where a variable of glibc's own says what is wanted.
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in _CHOSEN_BY):
        return False
    fix = ctypes.CDLL(None).mallopt
    return all(fix(each, THRESHOLD_BYTES) == 1 for each in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD))
