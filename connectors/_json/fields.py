"""A decoded record whose every field is either mapped or left over, never lost."""

from __future__ import annotations

import math
from collections.abc import Iterable
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


class _Names(dict[str, tuple[str, ...]]):
    """The names in a path; `functools.cache` takes twice the time, a hundred times an event."""

    def __missing__(self, path: str) -> tuple[str, ...]:
        found = self[path] = tuple(path.split("."))
        return found


_names: Final = _Names()


class Fields:
    """A record as a dict, remembering which paths were looked at."""

    def __init__(self, unit: bytes) -> None:
        try:
            record = _decode(unit)
        except (ValueError, RecursionError) as error:
            raise DecodeError("json", f"expected a JSON object, found: {error}") from error
        self.record: dict[str, Any] = record if isinstance(record, dict) else {}
        self._used: set[str] = set()

    def get(self, path: str) -> Any:
        """Return what is at the dotted `path`, or None; it counts as mapped."""
        self._used.add(path)
        value: Any = self.record
        for name in _names[path]:
            if value.__class__ is not dict:
                return None
            value = value.get(name)
        return value

    def use(self, path: str) -> None:
        """Let a path count as mapped that `get` would not find: of a name with dots in it."""
        self._used.add(path)

    def text(self, path: str) -> str:
        """Return the text at `path`, or an empty string where there is none."""
        value = self.get(path)
        return value if value.__class__ is str else ""

    def left(self, mapped: Iterable[str]) -> dict[str, Any]:
        """Return what is neither `mapped` nor was looked at, flattened; see `MAX_LEFT`."""
        self._used.update(mapped)
        found: dict[str, Any] = {}
        self._collect("", self.record, found, 1)
        return found

    def _collect(
        self, prefix: str, record: dict[str, Any], found: dict[str, Any], depth: int
    ) -> None:
        used = self._used
        for name, value in record.items():
            path = prefix + name
            if path in used or value is None or value == {}:
                continue
            if len(found) >= MAX_LEFT:
                return
            kind = value.__class__
            if kind is dict and depth < _MAX_DEPTH:
                self._collect(f"{path}.", value, found, depth + 1)
            elif kind is str:
                found[path] = value[:MAX_TEXT]
            elif kind is bool or kind is int:
                found[path] = value if abs(value) < 2**63 else str(value)[:MAX_TEXT]
            else:
                found[path] = compact(value)[:MAX_TEXT]


def compact(value: Any) -> str:
    """Return `value` as JSON text."""
    try:
        return msgspec.json.encode(value).decode()
    except RecursionError:
        return "(nested too deep)"


def some(**values: Any) -> dict[str, Any]:
    """Return `values` without those that say nothing: None, empty text, list or object."""
    return {name: value for name, value in values.items() if value or value is False or value == 0}
