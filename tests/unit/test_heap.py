import os
import platform
import subprocess
import sys

import pytest

from cqrs import heap

# glibc's mallinfo2(3), of which the fifth number is how many bytes the system has given out as blocks of their own.
MEASURED = """
import ctypes
from cqrs.heap import keep_heap_small

class Numbers(ctypes.Structure):
    _fields_ = [(str(number), ctypes.c_size_t) for number in range(10)]

mallinfo2 = ctypes.CDLL(None).mallinfo2
mallinfo2.restype = Numbers
own_blocks = lambda: getattr(mallinfo2(), "4")

large = bytes(1024 * 1024)
del large  # from here on glibc takes such blocks from its heap
fixed = FIX
before = own_blocks()
large = bytes(1024 * 1024)
print(fixed, own_blocks() - before > 1024 * 1024)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is about glibc's heap")
@pytest.mark.parametrize(
    ("fix", "variables", "printed"),
    [
        ("keep_heap_small()", {}, "True True"),
        ("None", {}, "None False"),
        ("keep_heap_small()", {"MALLOC_TRIM_THRESHOLD_": "262144"}, "False True"),  # glibc's own way to fix them
    ],
)
def test_large_blocks_are_the_systems_own(fix: str, variables: dict[str, str], printed: str) -> None:
    program = [sys.executable, "-c", MEASURED.replace("FIX", fix)]
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(program, env=own | variables, capture_output=True, text=True, check=True)  # noqa: S603

    assert done.stdout.strip() == printed


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))

    assert not heap.keep_heap_small()
