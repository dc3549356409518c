"""Recordings as files: one module a format, found by its suffix.

A reader is a module with ``SUFFIXES`` and ``read(path, var="") -> Recording``; adding one adds
a file here and its name to nothing. What a file lacks or has wrong is a `FormatError` that
names the byte or field, or a gap between segments: samples are never silently joined.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from bci.formats.recording import FormatError, Recording, Segment

__all__ = ["FormatError", "Recording", "Segment", "read"]


def read(path: Path, var: str = "") -> Recording:
    """Open a recording; large data stays in the file.

    Parameters
    ----------
    var
        Name of the variable that holds the signal, in formats that have names (``.mat``).

    Raises
    ------
    FormatError
        No reader for the suffix, or the file is not what its suffix says.
    """
    suffixes: list[str] = []
    for info in iter_modules(__path__):
        module = import_module(f"{__name__}.{info.name}")
        known = getattr(module, "SUFFIXES", ())
        if path.suffix.lower() in known:
            found: Recording = module.read(path, var)
            return found
        suffixes.extend(known)
    raise FormatError(
        f"{path.name}: expected a file that ends in one of {', '.join(sorted(suffixes))}, "
        f"found {path.suffix or 'no suffix'}"
    )
