"""What of an alert's evidence may be asked about: public addresses, hashes, domain names.

URLs, users, mail addresses and file names are never asked about: they carry secrets, and say
who you are. A name is asked about only where the settings allow domains, and only if it has a
dot and does not end in one of the suffixes that belong to private networks (RFC 2606, 6761,
6762, 8375, ICANN's ``.internal``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any, Final, NamedTuple

from sentinel.subscribers.egress import public
from streams.opinions.services.base import DOMAIN, HASH, IP

#: OCSF ``observable.type_id``.
_TYPES: Final = {1: DOMAIN, 2: IP, 8: HASH}
_ENDPOINTS: Final = ("src_endpoint", "dst_endpoint", "device")
_PRIVATE: Final = (
    *(".local", ".internal", ".lan", ".home", ".corp", ".intranet", ".private", ".localhost"),
    *(".test", ".example", ".invalid", ".home.arpa", ".in-addr.arpa", ".ip6.arpa"),
    *(".example.com", ".example.net", ".example.org", ".svc", ".cluster", ".onion"),
)
_DIGEST: Final = frozenset({32, 40, 64})
_LONGEST: Final = 253


class Asked(NamedTuple):
    """A value and its kind."""

    kind: str
    value: str


def values(
    events: Iterable[Mapping[str, Any]], kinds: frozenset[str], never: Sequence[str], most: int
) -> list[Asked]:
    """Return the first `most` values of OCSF events that may be asked about, each once.

    Parameters
    ----------
    never
        Networks (with a slash), addresses, and names or, with a dot in front, suffixes.
    """
    found: dict[Asked, None] = {}
    for event in events:
        for kind, value in _observed(event):
            asked = _fit(kind, value) if kind in kinds else None
            if asked is not None and not _refused(asked, never):
                found.setdefault(asked)
            if len(found) >= most:
                return list(found)
    return list(found)


def one(value: str, never: Sequence[str]) -> Asked | None:
    """Return a value that somebody typed with its kind; None where nobody may be asked about it."""
    fits = (_fit(kind, value) for kind in (IP, HASH, DOMAIN))
    return next((asked for asked in fits if asked and not _refused(asked, never)), None)


def _observed(event: Mapping[str, Any]) -> Iterator[Asked]:
    for name in _ENDPOINTS:
        endpoint = event.get(name)
        if isinstance(endpoint, Mapping) and isinstance(endpoint.get("ip"), str):
            yield Asked(IP, endpoint["ip"])
    observables = event.get("observables")
    for each in observables if isinstance(observables, list) else ():
        if isinstance(each, Mapping) and isinstance(each.get("value"), str):
            kind = _TYPES.get(each.get("type_id", 0))
            if kind:
                yield Asked(kind, each["value"])


def _fit(kind: str, value: str) -> Asked | None:
    """Return the value in one spelling; None where it is none of its kind, or private."""
    value = value.strip().lower().rstrip(".")
    if kind == IP:
        try:
            address = ip_address(value)
        except ValueError:
            return None
        return Asked(IP, str(address)) if "%" not in value and public(address) else None
    if kind == HASH:
        digest = value.rpartition(":")[2]
        good = len(digest) in _DIGEST and all(c in "0123456789abcdef" for c in digest)
        return Asked(HASH, digest) if good else None
    return Asked(DOMAIN, value) if _is_domain(value) else None


def _is_domain(value: str) -> bool:
    if not 0 < len(value) <= _LONGEST or "." not in value or f".{value}".endswith(_PRIVATE):
        return False
    labels = value.split(".")
    plain = all(
        0 < len(each) < 64 and each.isascii() and each.replace("-", "").replace("_", "").isalnum()
        for each in labels
    )
    return plain and not labels[-1].isdecimal()


def _refused(asked: Asked, never: Sequence[str]) -> bool:
    """Say whether the settings name the value as one's own."""
    if asked.kind == IP:
        address = ip_address(asked.value)
        return any(
            address in ip_network(each) if "/" in each else each == asked.value for each in never
        )
    return any(
        asked.value == each.lstrip(".") or (each.startswith(".") and asked.value.endswith(each))
        for each in never
    )
