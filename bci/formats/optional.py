"""Libraries of one format alone, imported when a file of it is opened."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from bci.formats.recording import FormatError

#: The extra of this package that has them all.
EXTRA = "sentinel-stream[bci]"


def library(name: str, what: str) -> Any:
    """Return a module.

    Parameters
    ----------
    what
        For whom it is needed, as in "to read rec.nwb".

    Raises
    ------
    FormatError
        It is not installed; the message says how to.
    """
    try:
        return import_module(name)
    except ImportError as error:
        root = name.partition(".")[0]
        raise FormatError(
            f"expected the package {root} {what}, found none ({error}): "
            f"pip install '{EXTRA}' or pip install {root}"
        ) from error
