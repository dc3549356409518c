"""What an alert may be linked by: who acted, from where, on what; from it and its events."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any, Final

import msgspec

#: Links of one alert, events looked at for them, and the longest link in characters.
MOST: Final = 32
EVENTS: Final = 50
LONGEST: Final = 512
_NONE: Final = frozenset({"", "-", "*", "unknown", "none", "null", "n/a"})


class _Endpoint(msgspec.Struct):
    ip: Any = None


class _Resource(msgspec.Struct):
    uid: Any = None


class _Event(msgspec.Struct):
    """What is read of an OCSF event."""

    src_endpoint: _Endpoint | None = None
    resources: list[_Resource] | None = None


_decode: Final = msgspec.json.Decoder(_Event).decode


def links(entity: str, events: Iterable[bytes | str]) -> frozenset[str]:
    """Return the links of an alert: ``entity:``, ``ip:`` and ``resource:``, at most `MOST`.

    Parameters
    ----------
    entity
        Who it is about.
    events
        OCSF of its events; of more than `EVENTS`, the first. What is no such JSON adds nothing.

    Examples
    --------
    >>> sorted(links("ada", ['{"src_endpoint": {"ip": "203.0.113.9"}}']))
    ['entity:ada', 'ip:203.0.113.9']
    """
    found = dict.fromkeys([_named(entity)])
    for _, event in zip(range(EVENTS), events, strict=False):
        try:
            read = _decode(event)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if read.src_endpoint is not None:
            found[_address(read.src_endpoint.ip)] = None
        for resource in read.resources or ():
            found[_link("resource", resource.uid)] = None
    found.pop("", None)
    return frozenset([*found][:MOST])


def _named(entity: str) -> str:
    return _address(entity) or _link("entity", entity)


def _address(value: Any) -> str:
    """Return the link of an address that says who someone is; "" of any other text."""
    try:
        found = ip_address(str(value))
    except ValueError:
        return ""
    return "" if found.is_loopback or found.is_unspecified else f"ip:{found}"


def _link(kind: str, value: Any) -> str:
    if not isinstance(value, str) or value.strip().lower() in _NONE:
        return ""
    return f"{kind}:{value}"[:LONGEST]
