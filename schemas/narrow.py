"""A struct no wider than the events are: keys that no event has had cost nothing.

Rules ask for hundreds of keys of which a source's events have twenty. A parser that knows
them all compares every key of an event with each, and fills in as many defaults: with 3,000
rules that takes three times the time of the rest. So the parser knows only keys that were
seen, wanted or not, and refuses an event with any other; then those are learnt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

#: Keys learnt at most. Events with more are made up, or have values for keys.
MOST: Final = 192
_keys: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

#: Attribute, type, and the default, if any, of a key.
Slot = tuple[Any, ...]


class Narrow:
    """A parser of objects whose keys have all been seen before.

    Parameters
    ----------
    wide
        Struct that knows every wanted key; what it refuses is refused.
    slots
        The wanted keys.
    always
        Keys that are wanted of every object, seen or not.

    Attributes
    ----------
    seen
        Every key that an object had which `parse` or `learn` was given and `wide` takes;
        None where there are too many to tell.
    """

    def __init__(
        self, wide: type[msgspec.Struct], slots: Mapping[str, Slot], always: Iterable[str]
    ) -> None:
        self._wide = wide
        self._whole = msgspec.json.Decoder(wide).decode
        self._slots = slots
        self._always = dict.fromkeys(always)
        self._order: dict[str, None] = {}
        self.seen: frozenset[str] | None = frozenset()
        self.parse: Callable[[bytes], Any] = self._build()

    def learn(self, raws: Iterable[bytes]) -> None:
        """Take up the keys of objects, of which `parse` refused one."""
        for raw in raws:
            try:
                self._order |= dict.fromkeys(_keys(raw))
            except (ValueError, RecursionError):
                if self._takes(raw):
                    self._give_up()
                    return
        if self.seen is None or self._order.keys() <= self.seen:
            return
        if len(self._order) > MOST:
            self._give_up()
            return
        self.seen = frozenset(self._order)
        try:
            self.parse = self._build()
        except ValueError:  # a key that cannot be the name of a field
            self._give_up()

    def _takes(self, raw: bytes) -> bool:
        """Say whether the wide parser takes an object that cannot be looked into here."""
        try:
            self._whole(raw)
        except (ValueError, RecursionError):
            return False
        return True

    def _give_up(self) -> None:
        """Parse everything widely from now on."""
        self.seen = None
        self.parse = self._whole

    def _build(self) -> Callable[[bytes], Any]:
        """Return a parser of the keys seen, in that order, which is the fastest.

        Attributes of the others are None for the whole class. ``_wide_`` is the struct that
        it stands for.
        """
        names = {**self._order, **self._always}
        slots = {name: self._slots.get(name) or _unwanted(name) for name in names}
        missing = {slot[0]: None for name, slot in self._slots.items() if name not in names}
        made = msgspec.defstruct(
            "Record",
            list(slots.values()),
            rename={slot[0]: name for name, slot in slots.items()},
            namespace={**missing, "_wide_": self._wide},
            forbid_unknown_fields=True,
            kw_only=True,
            gc=False,
        )
        return msgspec.json.Decoder(made).decode


def _unwanted(name: str) -> Slot:
    """Return the slot of a key that nobody looks at: its bytes are passed over."""
    return (f"_not_{name.encode(errors='surrogatepass').hex()}", msgspec.Raw, None)
