"""How loops are compiled, the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def kernel(signature: str, *, inline: bool = False) -> Callable[[F], F]:
    """Compile a function for one `signature`, when it is imported, cached on disk.

    The signature is stated so that no call can trigger a second compilation, and
    floating point is strict so that results do not depend on how loops were vectorised.
    """
    compiled = njit(signature, cache=True, nogil=True, error_model="numpy", forceinline=inline)
    return cast("Callable[[F], F]", compiled)
