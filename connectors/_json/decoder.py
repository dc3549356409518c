"""Decoding the JSON objects of one source, and looking into what was decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import msgspec

from schemas.typed import Getter, TypedJson
from sentinel.errors import DecodeError

MAX_EVENT_BYTES: Final = 1 << 20
"""Largest event accepted; no source here writes larger ones on purpose."""
RAW: Final = "<raw>"  # the bytes of the event itself; no source has such a field
_texts: Final = msgspec.json.Decoder(float_hook=str).decode


class JsonDecoder(TypedJson):
    """`TypedJson` with a limit on the size of an event, and its text for Sigma's keywords.

    Parameters
    ----------
    source
        What the source is called in messages to people.
    required, fields, dotted_keys
        As for `TypedJson`.
    spellings
        Other paths of a field, tried in order where the event lacks it under its own name:
        products that ship the same event rename its fields, and rules speak of any of them.
        What is an object there, `getter` gives as JSON text.
    """

    def __init__(
        self,
        source: str,
        required: Mapping[str, type],
        fields: frozenset[str],
        *,
        dotted_keys: bool = True,
        spellings: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        others = {path for paths in spellings.values() for path in paths}
        super().__init__(required, fields | {RAW} | others, dotted_keys=dotted_keys, filled=(RAW,))
        self._source = source
        self._spellings = spellings
        self._computed: dict[str, Getter] = {}
        #: Returns the JSON of a decoded event.
        self.raw: Callable[[Any], bytes] = self.getter(RAW)
        self._raw_name = self._root.children[RAW].attr
        #: Class of everything that `decode` returns: `View` finds its getters by it.
        self.record: type = self._root.struct

    def decode(self, raw: bytes) -> Any:
        """Decode one event; DecodeError ``too_large`` beyond `MAX_EVENT_BYTES`."""
        if len(raw) > MAX_EVENT_BYTES:
            raise DecodeError(
                "too_large",
                f"expected an event of {self._source} of at most {MAX_EVENT_BYTES} bytes, "
                f"found {len(raw)}; split the message into its events",
            )
        event = super().decode(raw)
        setattr(event, self._raw_name, raw)
        return event

    def decode_many(self, raws: Sequence[bytes]) -> list[Any]:
        """Decode many events; the caller has looked at their sizes."""
        decoded = super().decode_many(raws)
        for event, raw in zip(decoded, raws, strict=True):
            setattr(event, self._raw_name, raw)
        return decoded

    def getter(self, field: str) -> Getter:
        """Return a function from an event to the value of `field`, in any of its spellings."""
        if field in self._computed:
            return self._computed[field]
        if field not in self._spellings:
            return super().getter(field)
        ways = [super(JsonDecoder, self).getter(path) for path in (field, *self._spellings[field])]

        def find(event: Any) -> Any:
            whole = None
            for way in ways:
                value = way(event)
                if value.__class__ is dict:
                    # an object may hold the value a rule means under a later spelling
                    whole = value if whole is None else whole
                elif value is not None:
                    return _flat(value)
            return _flat(whole)

        return find

    def compute(self, field: str, how: Getter) -> None:
        """Let `getter` give what `how` makes of a decoded event for `field`."""
        self._computed[field] = how

    def ways(self, path: str) -> tuple[str, ...] | None:
        """Return the paths at which `getter` looks for a field; see `TypedJson.ways`."""
        return None if path in self._computed else (path, *self._spellings.get(path, ()))

    def plain(self, path: str) -> Getter:
        """Return a function from an event to what is at `path` itself."""
        return super().getter(path)

    def text(self, event: Any) -> str:
        """Return every value of a decoded event, one a line: where keywords are searched."""
        return "\n".join(texts(self.raw(event)))


def _flat(value: Any) -> Any:
    """Return a scalar or a list of them as it is, and objects as JSON text."""
    if value.__class__ is list:
        return [_flat(item) if item.__class__ in (dict, list) else item for item in value]
    if value.__class__ is not dict:
        return value
    try:
        return msgspec.json.encode(value).decode()
    except RecursionError:
        return None


def texts(raw: bytes) -> list[str]:
    """Return every value of a JSON document as text."""
    found: list[str] = []
    waiting: list[Any] = [_texts(raw)]
    for value in waiting:  # grows while it is walked, so that depth costs no stack
        kind = value.__class__
        if kind is str:
            found.append(value)
        elif kind is dict:
            waiting += value.values()
        elif kind is list:
            waiting += value
        elif value is not None:
            found.append(str(value) if kind is int else "true" if value else "false")
    return found


class View:
    """A decoded event and how to look into it; values are as `schemas.typed.walk` gives them."""

    __slots__ = ("_event", "_getters")

    def __init__(self, event: Any, getters: Mapping[str, Callable[[Any], Any]]) -> None:
        self._event = event
        self._getters = getters

    def get(self, path: str) -> Any:
        """Return what is at `path`, one of the connector's `fields`; None where nothing is."""
        return self._getters[path](self._event)

    def texts(self, paths: Iterable[str]) -> list[str]:
        """Return the text at each of `paths`, as `text` of it alone."""
        event, getters = self._event, self._getters
        return [
            value if value.__class__ is str else str(value) if value.__class__ is int else ""
            for value in [getters[path](event) for path in paths]
        ]

    def text(self, *paths: str) -> str:
        """Return the first text that is not empty at `paths`; numbers as text; else ``""``."""
        event, getters = self._event, self._getters
        for path in paths:
            value = getters[path](event)
            kind = value.__class__
            if kind is str:
                if value:
                    found: str = value
                    return found
            elif kind is int:
                return str(value)
        return ""
