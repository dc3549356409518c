"""Times in milliseconds since the epoch, UTC, from every spelling that sources use."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sentinel.errors import MappingError

FUTURE_MS: Final = 24 * 3600 * 1000
"""How far ahead of this machine's clock an event may be: a wrong clock must not move the
watermark for everyone."""
PAST_MS: Final = 946_684_800_000
"""2000-01-01T00:00:00Z in milliseconds since the epoch."""
#: Above which a number of seconds must be one of milliseconds, micro- or nanoseconds: the
#: year 5138 in seconds is 1973 in milliseconds, so that no time accepted is ambiguous.
_UNITS: Final = ((1e17, 1e-6), (1e14, 1e-3), (1e11, 1.0), (0.0, 1e3))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MEMO: Final = 1 << 16
_known: dict[str, int] = {}


def milliseconds(value: Any, field: str) -> int:
    """Return a time: ISO 8601 text (UTC where it names no zone), or seconds, ms, µs or ns.

    Nine digits of a fraction are understood, what is below a millisecond is cut off.

    Raises
    ------
    MappingError
        Reason ``missing_field``: there is none. Reason ``timestamp``: it is no time, or
        one before 2000 or more than `FUTURE_MS` ahead.
    """
    if value is None or value == "":
        raise MappingError("missing_field", f"expected a time in {field}, found none")
    if value.__class__ is str:
        found = _known.get(value)
        if found is None:
            found = _text(value, field)
            if len(_known) >= _MEMO:
                _known.clear()
            _known[value] = found
        return found
    if value.__class__ is int or value.__class__ is float:
        return _checked(_number(value), value, field)
    raise _absurd(value, field)


def moment(value: Any) -> int | None:
    """Return a time as `milliseconds` does, or None where there is none that is sane."""
    try:
        return milliseconds(value, "")
    except MappingError:
        return None


def rfc3339(when: datetime, timespec: str = "milliseconds") -> str:
    """Return a time as APIs ask for it: RFC 3339, UTC, cut off at `timespec` of `isoformat`.

    >>> rfc3339(datetime(2026, 3, 2, 9, 15, tzinfo=UTC))
    '2026-03-02T09:15:00.000Z'
    """
    return when.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def _number(value: float) -> float:
    """Return milliseconds of a number whose size tells its unit."""
    if 1e11 <= value < 1e14:  # as most have it
        return value
    if 0.0 <= value < 1e11:
        return value * 1e3
    value = value if abs(value) < 1e20 else 0.0  # an integer beyond any unit, or not a number
    for least, factor in _UNITS:
        if value >= least:
            return value * factor
    return value


def _text(text: str, field: str) -> int:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        try:
            return _checked(_number(float(text)), text, field)
        except ValueError:
            raise _absurd(text, field) from None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return _checked((found - _EPOCH) // timedelta(milliseconds=1), text, field)


def _checked(when: float, value: Any, field: str) -> int:
    if not PAST_MS <= when <= time.time() * 1000 + FUTURE_MS:
        raise _absurd(value, field)
    return int(when)


def _absurd(value: Any, field: str) -> MappingError:
    return MappingError(
        "timestamp",
        f"expected a time from 2000 to now in {field} (ISO 8601, or seconds since the epoch), "
        f"found {value!r:.60}",
    )
