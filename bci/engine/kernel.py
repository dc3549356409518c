"""How loops over samples are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])

#: Sums may be re-ordered and products fused, the same way at every call; but infinity and
#: NaN keep their meaning, since an unknown threshold is infinite.
_FAST = {"reassoc", "contract", "arcp", "nsz"}


def kernel(function: F) -> F:
    """Compile `function` at its first call and keep the result on disk."""
    compile_it = numba.njit(cache=True, fastmath=_FAST, error_model="numpy", nogil=True)
    return cast(F, compile_it(function))


def bare(function: F) -> F:
    """Compile a function that makes no arrays.

    Without numba's own runtime, so that no references are counted: atomic operations, which
    took a third of the time where views are made for every sample.
    """
    options: dict[str, Any] = {"cache": True, "fastmath": _FAST, "nogil": True, "_nrt": False}
    return cast(F, numba.njit(error_model="numpy", **options)(function))
