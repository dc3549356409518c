"""Recordings as files: one module a format, found by its suffix.

A reader is a module with ``SUFFIXES`` and ``read(path, var="", fs=0.0) -> Recording``; adding
one adds a file here and its name to nothing. What a file lacks or has wrong is a `FormatError`
that names the byte or field, or a gap between segments: samples are never silently joined.
Folders (BIDS, GigaScience, Neuralynx sessions) are those of `bci.formats.layouts`; objects and
live streams are taken by `bci.formats.spikeinterface` and `bci.formats.lsl`.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

from bci.formats.recording import FormatError, Marks, Recording, Segment, SpikeTrain

__all__ = [
    "FormatError",
    "Marks",
    "Recording",
    "Segment",
    "SpikeTrain",
    "open",
    "read",
    "suffixes",
]


def open(path: Path, var: str = "", fs: float = 0.0) -> Recording:
    """Open a recording; large data stays in the file where its format allows.

    Parameters
    ----------
    path
        File, or folder in one of the layouts of `bci.formats.layouts`.
    var
        Which of several: the variable of a ``.mat``, the stream of an ``.xdf``, the series of
        an ``.nwb``, the file in a folder.
    fs
        Sampling rate, Hz, where a format may leave it out (``.mat``, ``.raw``).

    Raises
    ------
    FormatError
        No reader for the suffix, the file is not what its suffix says, it cannot be read, or
        there are several recordings in it and `var` names none.
    """
    if path.is_dir():
        found: Recording = import_module(f"{__name__}.layouts").read(path, var, fs)
        return found
    for module in _readers():
        if path.suffix.lower() in module.SUFFIXES:
            try:
                found = module.read(path, var, fs)
            except OSError as error:
                raise FormatError(f"{path.name}: expected a readable file: {error}") from error
            return found
    raise FormatError(
        f"{path.name}: expected a file that ends in one of {', '.join(suffixes())}, "
        f"found {path.suffix or 'no suffix'}"
    )


read = open


def suffixes() -> list[str]:
    """Return the suffixes of all readers, sorted."""
    return sorted(suffix for module in _readers() for suffix in module.SUFFIXES)


def _readers() -> Iterator[ModuleType]:
    """Yield the modules here that read a suffix."""
    for info in iter_modules(__path__):
        module = import_module(f"{__name__}.{info.name}")
        if hasattr(module, "SUFFIXES"):
            yield module
