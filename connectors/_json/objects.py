"""Small OCSF objects out of values of any type, each empty where the value does not fit."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, Final

#: OCSF's ``email_t``.
_EMAIL: Final = re.compile(r"[a-zA-Z0-9!#$%&'*+-/=?^_`{|}~.]+@[a-zA-Z0-9-]+\.[a-zA-Z0-9-.]+")
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
#: One of these an endpoint must have.
_NAMES: Final = frozenset(
    {"domain", "hostname", "instance_uid", "interface_name", "interface_uid", "ip", "name"}
    | {"svc_name", "uid"}
)
#: What ``http_method`` may be.
_METHODS: Final = frozenset(
    ("GET", "PUT", "HEAD", "POST", "PATCH", "TRACE", "DELETE", "CONNECT", "OPTIONS")
)
_PORTS: Final = 1 << 16
_LONG: Final = 1 << 53
"""Numbers beyond it are not exact in every store that reads our events."""


@lru_cache(4096)
def is_address(value: str) -> bool:
    """Return whether a text is an IP address."""
    try:
        ip_address(value)
    except ValueError:
        return False
    return True


def text(value: Any) -> str:
    """Return a text or whole number as text; anything else is an empty text."""
    kind = value.__class__
    if kind is str:
        found: str = value
        return found
    return str(value) if kind is int else ""


def address(value: Any) -> str:
    """Return an IP address, or an empty text where `value` is none."""
    return value if value.__class__ is str and value and is_address(value) else ""


def email(value: Any) -> str:
    """Return an address of mail as OCSF defines it, or an empty text."""
    return value if value.__class__ is str and _EMAIL.fullmatch(value) else ""


def uuid(value: Any) -> str:
    """Return a UUID, or an empty text."""
    return value if value.__class__ is str and _UUID.fullmatch(value) else ""


def http_method(value: Any) -> str:
    """Return a method of HTTP that OCSF knows, or an empty text."""
    return value if value.__class__ is str and value in _METHODS else ""


def whole(value: Any, limit: int = _LONG) -> int | None:
    """Return a number from 0 to below `limit`, also out of digits; None for all else."""
    if value.__class__ is str and value.isascii() and value.isdigit() and len(value) < 17:
        value = int(value)
    return value if value.__class__ is int and 0 <= value < limit else None


def port(value: Any) -> int | None:
    """Return a port, or None."""
    return whole(value, _PORTS)


def items(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list of objects, or the one object that stands in its place."""
    found = value if value.__class__ is list else [value]
    return [item for item in found if item.__class__ is dict]


def texts(value: Any) -> list[str]:
    """Return the texts of a list of texts, or the one text that stands in its place."""
    if value is None:  # as it is most of the time
        return []
    found = value if value.__class__ is list else [value]
    return [item for item in map(text, found) if item]


def endpoint(value: Any, **more: Any) -> dict[str, Any]:
    """Return a network endpoint: its address, or what is there in place of one as its name.

    `more` is added without what says nothing; an endpoint of which nothing but that is known
    is called unknown, as OCSF wants it to have a name of some kind.
    """
    found: dict[str, Any] = {}
    if ip := address(value):
        found["ip"] = ip
    elif named := text(value):
        found["name"] = named
    found |= {name: item for name, item in more.items() if item not in (None, "", {}, [])}
    return found if not found or found.keys() & _NAMES else {"name": "unknown", **found}


def user(name: Any = "", uid: Any = "", mail: Any = "", **more: Any) -> dict[str, Any]:
    """Return a user, or an empty object where neither its name nor its id is known."""
    named, known = text(name), text(uid)
    if not named and not known:
        return {}
    found = {"name": named, "uid": known, "email_addr": email(mail) or email(name), **more}
    return {key: item for key, item in found.items() if item not in (None, "", {}, [])}
