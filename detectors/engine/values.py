"""One canonical text and one case folding, used by index, generated code and reference alike.

Sigma compares text without regard to case. `fold` is Unicode's *simple* case
folding (Unicode 15, section 5.18: one code point to one code point, no context),
so that folding commutes with cutting and joining strings: a pattern is a part of
a value exactly when the folded pattern is a part of the folded value, and ``?``
still stands for one character. ``str.lower`` would not do (final sigma depends
on its neighbours), nor would ``str.casefold`` alone (``ß`` becomes two letters).
RE2's ``(?i)`` folds in the same way.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import orjson

#: Characters that full case folding turns into several, and what becomes of them here.
#: They all lie in these ranges (a test goes through the whole of Unicode).
_GROWING = {
    char: char.lower() if len(char.lower()) == 1 else char
    for char in map(chr, [*range(0x2000), *range(0xFB00, 0xFB18)])
    if len(char.casefold()) > 1
}
_GROWING_CHARACTER = re.compile(f"([{''.join(_GROWING)}])")


def fold(text: str) -> str:
    """Return `text` in simple case folding; the result has the same length.

    >>> fold("AssumeRole"), fold(chr(0x212A)), len(fold("Stra" + chr(0xDF) + "e"))
    ('assumerole', 'k', 6)
    """
    folded = text.casefold()
    # No character folds to nothing, so an equal length means none grew.
    if len(folded) == len(text):
        return folded
    parts = _GROWING_CHARACTER.split(text)
    parts[::2] = [part.casefold() for part in parts[::2]]
    parts[1::2] = [_GROWING[char] for char in parts[1::2]]
    return "".join(parts)


def text_of(value: Any) -> str:
    """Return the canonical text of one JSON value that is neither None nor a list.

    Booleans are ``true`` and ``false``, numbers their shortest decimal form
    (``5.0`` is ``5``), an object its compact JSON text.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if math.isfinite(value) and value.is_integer() else repr(value)
    if isinstance(value, dict):
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    return str(value)


def elements(value: Any) -> Iterator[Any]:
    """Yield the elements of a value: itself, or those of a list, flattened; None is none."""
    stack = [value]  # not recursive: an event may nest as deep as its decoder lets it
    while stack:
        item = stack.pop()
        if isinstance(item, list | tuple):
            stack.extend(reversed(item))
        elif item is not None:
            yield item


def number_of(value: Any) -> int | float | None:
    """Return a JSON number, or the number that a text spells, else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    if not isinstance(value, str) or not value[-1:].isdigit() or "_" in value:
        return None
    try:
        return float(value) if "." in value or "e" in value.lower() else int(value)
    except ValueError:
        return None


def address_of(value: Any) -> IPv4Address | IPv6Address | None:
    """Return the IP address that a text spells, else None; IPv4 in IPv6 is unwrapped."""
    try:
        address = ip_address(value.strip()) if isinstance(value, str) else None
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


#: Largest epoch value read as seconds, milliseconds and microseconds (the year 5138).
_EPOCH_LIMITS = ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6), (math.inf, 1e9))


def time_of(value: Any) -> datetime | None:
    """Return the UTC time of an ISO 8601 text or of an epoch number (s, ms, µs or ns)."""
    number = number_of(value)
    try:
        if number is not None:
            scale = next(scale for limit, scale in _EPOCH_LIMITS if abs(number) < limit)
            return datetime.fromtimestamp(number / scale, UTC)
        if not isinstance(value, str):
            return None
        time = datetime.fromisoformat(value.strip())
    except (ValueError, OverflowError, OSError, StopIteration):
        return None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
