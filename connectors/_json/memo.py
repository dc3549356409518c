"""What follows from an event's own fields but its id and time, remembered.

Who does what from where comes again and again, ids and times do not. So the other columns of
an event are worked out once for each combination of the values that they are made of. Where
combinations hardly ever come again, nothing is looked up for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, get_args

import msgspec
import numpy as np

from connectors.base import Columns, Summary
from schemas.batch import Strings
from schemas.typed import Getter

#: Combinations remembered, and bytes of one; then all are forgotten.
MOST: Final = 1 << 14
LONGEST: Final = 4096
#: Events after which the memo is judged, and for how many it rests where few came again.
JUDGED, REST = 8192, 1 << 17
#: Fields of `Summary` that are numbers, and all from the first on that are remembered.
_NUMBERS, _FIRST = 4, 2

_encode: Final = msgspec.msgpack.Encoder().encode


class Memo:
    """Columns of events of one decoder.

    Parameters
    ----------
    values
        From a decoded event to all values that the columns, other than id and time, are made of.
    summarise
        From a decoded event to its columns.
    """

    def __init__(self, values: Callable[[Any], Any], summarise: Callable[[Any], Summary]) -> None:
        self._values = values
        self._summarise = summarise
        self._places: dict[bytes, int] = {}
        self._found: list[tuple[Any, ...]] = []
        self._seen = self._new = 0

    def columns(self, events: Sequence[Any]) -> Columns | None:
        """Return the columns of events from ``class_uid`` on; None: not worth the while."""
        if not self._worth(len(events)):
            return None
        if len(self._found) > MOST:
            self._places, self._found = {}, []
        values, place_of = self._values, self._places.get
        places = []
        for event in events:
            try:
                key = _encode(values(event))
            except (OverflowError, RecursionError):  # what no event has on purpose
                key = b""
            place = place_of(key)
            places.append(self._add(key, event) if place is None else place)
        kinds = dict.fromkeys(places)
        numbered = dict(zip(kinds, range(len(kinds)), strict=True))
        index = np.fromiter(map(numbered.__getitem__, places), np.int32, len(places))
        columns = list(zip(*(self._found[place] for place in kinds), strict=True))
        texts = map(Strings.of, columns[_NUMBERS:])
        return [
            *(np.array(column, np.int64)[index] for column in columns[:_NUMBERS]),
            *(Strings(text.values, text.index[index]) for text in texts),
        ]

    def _add(self, key: bytes, event: Any) -> int:
        """Work out the columns of an event and remember them; return their place."""
        self._new += 1
        self._found.append(self._summarise(event)[_FIRST:])
        place = len(self._found) - 1
        if 0 < len(key) <= LONGEST:
            self._places[key] = place
        return place

    def _worth(self, events: int) -> bool:
        """Say whether enough came again lately; count `events`."""
        self._seen += events
        if self._seen < 0:
            return False
        if self._seen > JUDGED:
            often = self._new < self._seen // 2
            self._seen = self._new = 0
            if not often:
                self._places, self._found, self._seen = {}, [], -REST
                return False
        return True


def together(
    kind: type, paths: Iterable[str], own: Iterable[str], getters: Mapping[str, Getter]
) -> Getter:
    """Return a function from a decoded event to all that it has at `paths`, and maybe more.

    That is the objects on the way to them, which are quicker to get, without what of `own` is
    in one.

    Parameters
    ----------
    kind
        Class of decoded events.
    """
    own = frozenset(own)
    single = [getters[path] for path in paths if path.partition(".")[0] in own]
    rest = _rest(kind, [path for path in paths if path.partition(".")[0] not in own], own)
    if not single:
        return rest
    return lambda event: (rest(event), [get(event) for get in single])


def _rest(kind: type, paths: Iterable[str], own: Iterable[str]) -> Getter:
    """Return a function from an object of `kind` to what is on the way to `paths`, less `own`."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    wanted, without = _below(paths), _below(own)
    whole = dict.fromkeys(path for path in paths if path in fields)  # keys with dots in them too
    parts: list[Getter] = []
    for name in sorted(wanted):
        kinds = (fields[name].type, *get_args(fields[name].type))
        struct = next(filter(_is_struct, kinds), None)
        if name in without and struct is not None:
            below = _rest(struct, wanted[name], without[name])
            parts.append(_inside(attrgetter(fields[name].name), struct, below))
        else:
            whole[name] = None
    values = attrgetter(*(fields[name].name for name in sorted(whole))) if whole else lambda _: ()
    return (lambda event: (values(event), [get(event) for get in parts])) if parts else values


def _below(paths: Iterable[str]) -> dict[str, list[str]]:
    """Return what follows the first name of each path, by that name; paths of one name have none.

    >>> _below(["a", "b.c", "b.d.e"])
    {'b': ['c', 'd.e']}
    """
    found: dict[str, list[str]] = {}
    for path in paths:
        name, dot, rest = path.partition(".")
        if dot:
            found.setdefault(name, []).append(rest)
    return found


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _inside(get: Getter, struct: type, below: Getter) -> Getter:
    """Return what looks `below` the object that `get` gives; what is none stays as it is."""
    return lambda event: below(value) if (value := get(event)).__class__ is struct else value
