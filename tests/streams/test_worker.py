"""What a worker takes of the machine, told by a process of its own."""

from __future__ import annotations

import subprocess
import sys

IMPORTED = """
import sys
import streams.worker
print(*{"numba", "scipy", "streams.deliver", "streams.neural"}.intersection(sys.modules))
"""
FORGOTTEN = """
import numba
from streams.worker import _forget_compiler

def resident():
    kib, inside = 0, False
    for line in open("/proc/self/smaps"):
        if "-" in line.split()[0]:
            inside = " r-xp " in line and "libllvmlite" in line
        elif inside and line.startswith("Rss:"):
            kib += int(line.split()[1])
    return kib

before = resident()
_forget_compiler()
after = resident()
print(after < before / 2, numba.njit("int64(int64)")(lambda value: value + 1)(41))
"""


def _said(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_a_worker_loads_the_libraries_of_its_own_stages_alone():
    assert _said(IMPORTED) == ""


def test_the_compiler_is_given_back_and_compiles_again():
    assert _said(FORGOTTEN) == "True 42"
