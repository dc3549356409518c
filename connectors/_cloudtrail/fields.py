"""A decoded record whose every field is either mapped or left over, never lost."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from sentinel.errors import DecodeError

MAX_LEFT: Final = 64
"""Leftover fields kept; what comes after them is only in the raw record."""
MAX_TEXT: Final = 512
"""Characters kept of a leftover value."""
MAX_DATA: Final = 8192
"""Characters up to which request and response are embedded, as JSON text."""
_MAX_DEPTH: Final = 8


def _number(literal: str) -> float | str:
    """Read a float; one beyond the range of a double stays text (1e999)."""
    value = float(literal)
    return value if math.isfinite(value) else literal


_decode: Final = msgspec.json.Decoder(float_hook=_number).decode


class Fields:
    """A record as a dict, remembering which paths were looked at."""

    def __init__(self, unit: bytes) -> None:
        try:
            record = _decode(unit)
        except (ValueError, RecursionError) as error:
            raise DecodeError("json", f"expected a CloudTrail record, found: {error}") from error
        self.record: dict[str, Any] = record if isinstance(record, dict) else {}
        self._used: set[str] = set()

    def get(self, path: str) -> Any:
        """Return what is at the dotted `path`, or None; it counts as mapped."""
        self._used.add(path)
        value: Any = self.record
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        return value

    def text(self, *paths: str) -> str:
        """Return the first of `paths` that holds text, or an empty string."""
        found = ""
        for path in paths:
            value = self.get(path)
            if isinstance(value, str) and not found:
                found = value
        return found

    def left(self) -> dict[str, Any]:
        """Return what nobody looked at, flattened to dotted names; see `MAX_LEFT`."""
        found: dict[str, Any] = {}
        self._collect("", self.record, found, 0)
        return found

    def _collect(self, path: str, value: Any, found: dict[str, Any], depth: int) -> None:
        if path in self._used or value is None or value == {} or len(found) >= MAX_LEFT:
            return
        if isinstance(value, dict) and depth < _MAX_DEPTH:
            for name, item in value.items():
                self._collect(f"{path}.{name}" if path else name, item, found, depth + 1)
        elif isinstance(value, bool | int):
            found[path] = value if abs(value) < 2**63 else str(value)[:MAX_TEXT]
        else:
            found[path] = (value if isinstance(value, str) else compact(value))[:MAX_TEXT]


def compact(value: Any) -> str:
    """Return `value` as JSON text."""
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    except RecursionError:
        return "(nested too deep)"


def milliseconds(text: str) -> int | None:
    """Return an ISO 8601 time in milliseconds since the epoch, or None."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def some(**values: Any) -> dict[str, Any]:
    """Return `values` without those that say nothing: None, empty text, list or object."""
    return {name: value for name, value in values.items() if value not in (None, "", [], {})}
