"""What a reader could not read, on its way to become a dead letter that says why.

A truncated file, a log file that its digest does not fit, a notification nobody understands:
a reader cannot hand on what is not there, and must not be silent.
"""

from __future__ import annotations

from typing import Final

from connectors._reading.base import Record

MAX_DATA: Final = 65_536
"""Bytes kept of what was found; the id says where all of it is."""


def fault(reason: str, detail: str, id: str = "", found: bytes = b"") -> Record:
    """Return a record that becomes a dead letter.

    Parameters
    ----------
    reason
        Short machine-readable word, as of `sentinel.errors.RecordError`.
    detail
        One sentence for a person: expected, found, what to do.
    id
        Name of the thing at its source.
    found
        The bytes at fault, as far as there are any.

    Examples
    --------
    >>> fault("truncated", "expected more").problem
    'truncated: expected more'
    """
    return Record(found[:MAX_DATA], id, problem=f"{reason}: {detail}")
