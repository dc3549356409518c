"""What a reader could not read, on its way to become a dead letter that says why.

A truncated file, a log file that its digest does not fit, a notification nobody understands:
a reader cannot hand on what is not there, and must not be silent. It yields `fault` among its
records; normalize finds the mark in front (`check`) and makes a dead letter of it. No source
writes records that begin with NUL, and no connector takes one for an event.
"""

from __future__ import annotations

from typing import Final

import msgspec

from connectors._reading.base import Record
from sentinel.errors import DecodeError

MARK: Final = b"\0sentinel-fault "
MAX_DATA: Final = 65_536
"""Bytes kept of what was found; the id says where all of it is."""


class _Fault(msgspec.Struct):
    reason: str
    detail: str
    id: str = ""


_decode: Final = msgspec.json.Decoder(_Fault).decode


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
    """
    said = msgspec.json.encode(_Fault(reason, detail[:1500], id))
    return Record(MARK + said + b"\n" + found[:MAX_DATA], id)


def check(value: bytes) -> None:
    """Raise what a fault says.

    Raises
    ------
    DecodeError
        `value` is one of `fault`; with its reason and detail.

    Examples
    --------
    >>> check(b'{"an": "event"}')
    >>> check(fault("truncated", "expected more").value)
    Traceback (most recent call last):
        ...
    sentinel.errors.DecodeError: expected more
    """
    if not value.startswith(MARK):
        return
    try:
        said = _decode(value[len(MARK) :].partition(b"\n")[0])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return  # not ours; the connector says what it thinks of it
    raise DecodeError(said.reason, f"{said.detail} [{said.id}]" if said.id else said.detail)
