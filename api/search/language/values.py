"""Values as people write them: times with their grain, numbers, networks, patterns."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from math import isfinite
from typing import NamedTuple

from api.search.language.nodes import Gap, Network, Pattern

#: Where IPv6 has the addresses of IPv4: stores take both for the same.
MAPPED = IPv6Network("::ffff:0:0/96")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Times that every store takes: the years 1970 to 9998.
LATEST_MS = (datetime(9998, 12, 31, tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1)
MAX_INT = 2**31 - 1
_NOW = re.compile(r"now(?:([+-])(\d{1,6})([smhdw]))?(?:/([mhd]))?\Z")
_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_GRAINS = (
    (re.compile(r"\d{4}-\d\d-\d\d\Z"), _UNITS["d"]),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?:Z|[+-]\d\d:\d\d)?\Z"), _UNITS["m"]),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)?\Z"), _UNITS["s"]),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}(?:Z|[+-]\d\d:\d\d)?\Z"), 1),
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_PARTS = re.compile(r"\\(.)|([*?])|([^\\*?]+)", re.DOTALL)


class Span(NamedTuple):
    """From `start` until before `end`, in ms since the epoch: what a time as written means."""

    start: int
    end: int


def time(text: str, now: datetime) -> Span:
    """Return the span that a time means; without an offset it is UTC.

    >>> time("2026-01-31", EPOCH)
    Span(start=1769817600000, end=1769904000000)
    >>> time("now-1d/d", datetime(2026, 1, 31, 12, tzinfo=UTC)).start == 1769731200000
    True

    Raises
    ------
    ValueError
        It is none, or lies outside of the years 1970 to 9998.
    """
    if found := _NOW.match(text):
        sign, amount, unit, grain = found.groups()
        shift = int(amount) * _UNITS[unit] if amount else 0
        start = milliseconds(now) + (-shift if sign == "-" else shift)
        size = _UNITS[grain] if grain else 1
        start -= start % size
    else:
        size = next((size for form, size in _GRAINS if form.match(text)), 0)
        if not size:
            raise ValueError(text)
        given = datetime.fromisoformat(text)
        start = milliseconds(given if given.tzinfo else given.replace(tzinfo=UTC))
    if not 0 <= start <= LATEST_MS:
        raise ValueError(text)
    return Span(start, start + size)


def milliseconds(moment: datetime) -> int:
    """Return a time in ms since the epoch; what lies between two counts as the later."""
    return -((EPOCH - moment) // timedelta(milliseconds=1))


def integer(text: str) -> int:
    """Return a whole number of 32 bits; raise ValueError where it is none."""
    if not re.fullmatch(r"[+-]?\d{1,10}", text, re.ASCII) or abs(int(text)) > MAX_INT:
        raise ValueError(text)
    return int(text)


def real(text: str) -> float:
    """Return a finite number; raise ValueError where it is none."""
    number = float(text)
    if not isfinite(number):
        raise ValueError(text)
    return number


def network(text: str) -> Network:
    """Return a network in CIDR notation; raise ValueError where it is none.

    >>> network("192.0.2.7/24")
    IPv4Network('192.0.2.0/24')
    >>> network("::ffff:192.0.2.7/120")  # an IPv4 address by another name
    IPv4Network('192.0.2.0/24')
    """
    found = ip_network(text, strict=False)
    if isinstance(found, IPv6Network) and MAPPED.supernet_of(found):
        low = int(found.network_address) - int(MAPPED.network_address)
        return IPv4Network((low, found.prefixlen - MAPPED.prefixlen))
    return found


def literal(text: str) -> str:
    r"""Return what a value without gaps stands for.

    >>> literal(r"a\*b")
    'a*b'
    """
    return _ESCAPED.sub(r"\1", text)


def quoted(text: str) -> str:
    r"""Return what stands between the quotes.

    >>> quoted(r'"say \"hi\""')
    'say "hi"'
    """
    return literal(text[1:-1])


def pattern(text: str) -> Pattern | None:
    r"""Return the pattern that a value is, None where it leaves nothing open.

    >>> pattern(r"a*\*?")
    ('a', <Gap.MANY: '*'>, '*', <Gap.ONE: '?'>)
    """
    parts: list[str | Gap] = []
    for escaped, gap, plain in _PARTS.findall(text):
        if gap:
            parts.append(Gap(gap))
        elif parts and isinstance(parts[-1], str):
            parts[-1] += escaped or plain
        else:
            parts.append(escaped or plain)
    return tuple(parts) if any(isinstance(part, Gap) for part in parts) else None
