"""Find components by walking their package: adding one edits no list."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")


def discover(
    package: ModuleType, base: type[T], wanted: Callable[[str], bool] = lambda name: True
) -> dict[str, type[T]]:
    """Return ``{module name: class}`` for every public module of `package` that is `wanted`.

    A public module is one whose name does not start with ``_`` and is not ``base``;
    it must define exactly one concrete subclass of `base`.

    Raises
    ------
    TypeError
        A module defines none, or more than one.
    """
    found: dict[str, type[T]] = {}
    for info in pkgutil.iter_modules(package.__path__):
        if info.ispkg or info.name.startswith("_") or info.name == "base":
            continue
        if not wanted(info.name):  # asked before it is imported, with all it needs
            continue
        module = import_module(f"{package.__name__}.{info.name}")
        own = [
            cls
            for _, cls in inspect.getmembers(module, inspect.isclass)
            if issubclass(cls, base)
            and not inspect.isabstract(cls)
            and cls.__module__ == module.__name__
        ]
        if len(own) != 1:
            raise TypeError(f"{module.__name__}: expected one {base.__name__}, found {len(own)}")
        found[info.name] = own[0]
    return found
