"""Looking into records that come in several spellings, and taking out of them what is mapped."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

import msgspec

from connectors._json.fields import MAX_DATA, Fields, compact, some
from connectors._json.objects import address, text
from connectors.base import OCSF

_ADDRESS_AND_PORT: Final = re.compile(r"\[?([0-9a-fA-F:.]+?)\]?(?::(\d{1,5}))?")
_decode: Final = msgspec.json.Decoder().decode


def said(fields: Fields, *paths: str) -> str:
    """Return the first text (or number as text) at `paths`; all of them count as mapped."""
    found = ""
    for path in paths:
        value = text(fields.get(path))
        found = found or value
    return found


def found(fields: Fields, *paths: str) -> Any:
    """Return the first value at `paths` that says something, decoded where it is JSON text.

    All of the paths count as mapped.
    """
    values = [fields.get(path) for path in paths]
    return opened(next((value for value in values if value not in (None, "", [], {})), None))


def inside(fields: Fields, *paths: str) -> dict[str, Any]:
    """Return the first object at `paths`, out of JSON text where it is that, to take from.

    What the caller pops is mapped, what stays is left over; an empty object where none is.
    """
    for path in paths:
        *way, name = path.split(".")
        holder: Any = fields.record
        for step in way:
            holder = holder.get(step) if holder.__class__ is dict else None
        value = opened(holder.get(name)) if holder.__class__ is dict else None
        if value.__class__ is dict and value:
            holder[name] = value
            return value
    return {}


def took(values: dict[str, Any], *names: str) -> str:
    """Take the values of `names` away, and return the first that is a text or number."""
    taken = [text(values.pop(name, None)) for name in names]
    return next(filter(None, taken), "")


def opened(value: Any) -> Any:
    """Return the object or list in JSON text; anything else as it is."""
    if value.__class__ is str and value[:1] in ("{", "["):
        try:
            return _decode(value)
        except (ValueError, RecursionError):
            return value
    return value


def table(value: Any) -> dict[str, Any]:
    """Return an object, or an empty one in place of anything else."""
    return value if value.__class__ is dict else {}


def data(value: Any) -> str:
    """Return `value` as JSON text, or nothing where it is too long to embed."""
    found = value if value.__class__ is str else compact(value) if value else ""
    return found if len(found) <= MAX_DATA else ""


@lru_cache(4096)
def _cut(value: str) -> tuple[str, int]:
    match = _ADDRESS_AND_PORT.fullmatch(value)
    if address(value) or not match or not address(match[1]):
        return value, 0
    return match[1], int(match[2] or 0)


def bare(value: str) -> str:
    """Return an address without its port: storage and Exchange log ``192.0.2.7:50123``."""
    return _cut(value)[0] if ":" in value else value


def source(value: Any, **more: Any) -> OCSF:
    """Return where a call came from; what is no address is a name, nothing is unknown."""
    known = text(value)
    host, port = _cut(known) if known else ("", 0)
    if not address(host):
        return some(name=known or "unknown", **more)
    return some(ip=host, port=port if 0 < port < 1 << 16 else None, **more)
