"""Cut a message into JSON objects, each with its bytes exactly as they were.

Understood everywhere: one object; a JSON array; JSON lines. What else a source wraps its
events in, it names: the key of a list (``Records``), of one object (``detail``), or of a
list of texts that are events (CloudWatch Logs: ``logEvents[].message``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from sentinel.errors import DecodeError

_array: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class _LogEvent(msgspec.Struct):
    """One entry of a CloudWatch Logs subscription."""

    message: str


_log_events: Final = msgspec.json.Decoder(list[_LogEvent]).decode


class Envelope:
    """Cuts the messages of one source.

    Parameters
    ----------
    lists
        Top-level keys whose value is the list of events.
    inner
        Top-level keys whose value is the one event.
    log_events
        Whether a CloudWatch Logs subscription is understood (``logEvents``).
    """

    def __init__(
        self, lists: Sequence[str] = (), inner: Sequence[str] = (), *, log_events: bool = False
    ) -> None:
        self._lists, self._inner = tuple(lists), tuple(inner)
        self._log_events = log_events
        keys = (*lists, *inner, *(("logEvents",) if log_events else ()))
        self._keys = tuple(f'"{key}"'.encode() for key in keys)

    def cut(self, value: bytes) -> Iterable[bytes]:
        """Return the events of a message, or the message itself.

        Raises
        ------
        DecodeError
            Reason ``json`` or ``depth``: an envelope or array that does not parse.
        """
        start = value.lstrip()[:1]
        if start == b"[":
            return [bytes(item) for item in parsed(_array, value, [value])]
        # Nothing is parsed where no envelope's key occurs, which is every plain event.
        if start != b"{" or not any(key in value for key in self._keys):
            return _lines(value)
        if b"\n" in value.strip() and (lines := _lines(value)) != (value,):
            return [event for line in lines for event in self.cut(line)]
        return self._open(value)

    def _open(self, value: bytes) -> Iterable[bytes]:
        """Return what is in an envelope; `value` where it turns out to be an event."""
        found = parsed(_object, value, {})
        for key in self._lists:
            if key in found:
                items = parsed(_array, bytes(found[key]), None)
                if items is not None:
                    return [bytes(item) for item in items]
        for key in self._inner:
            if bytes(found.get(key, b""))[:1] == b"{":
                return (bytes(found[key]),)
        if self._log_events and "logEvents" in found:
            entries = parsed(_log_events, bytes(found["logEvents"]), None)
            if entries is not None:
                return [entry.message.encode(errors="surrogatepass") for entry in entries]
        return (value,)


def _lines(value: bytes) -> Iterable[bytes]:
    """Return the lines of JSON lines, or `value` where it is one object over several lines."""
    if b"\n" not in value:
        return (value,)
    lines = [line for line in value.splitlines() if line.strip()]
    if len(lines) > 1 and all(
        line.strip()[:1] == b"{" and line.strip()[-1:] == b"}" for line in lines
    ):
        return lines
    return (value,)


def parsed(
    parse: Any, value: bytes, otherwise: Any, what: str = "JSON (an object, an array, JSON lines)"
) -> Any:
    """Parse; return `otherwise` where it is JSON of another shape.

    Raises
    ------
    DecodeError
        Reason ``json`` or ``depth``: it is none; `what` says what was expected.
    """
    try:
        return parse(value)
    except msgspec.ValidationError:
        return otherwise
    except (ValueError, RecursionError) as error:
        raise DecodeError(
            "depth" if isinstance(error, RecursionError) else "json",
            f"expected {what}, found {len(value)} bytes that do not parse: {error}",
        ) from error
