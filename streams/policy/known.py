"""What look-ups know of an event, as fields that rules and correlations may ask for.

========================  ======================================================================
field                     meaning
========================  ======================================================================
intel.src.country         of the address the event came from; also ``continent``, ``region``,
                          ``city``, ``asn`` (a number), ``as_name``, ``flags`` (``tor_exit_node``)
intel.src.feed            feeds that have the address; also ``indicator`` (names), ``labels``
intel.src.confidence      0 to 100, of the best indicator; ``score`` after decay and benign lists
intel.src.benign          benign lists that have it
intel.src.owner           of the asset at the address; also ``name``, ``criticality``,
                          ``environment``, ``tags``
intel.dst.country         of the address the event went to, likewise; of sources that have one
                          (`connectors.base.Connector.destinations`)
intel.entity.owner        of who acted; likewise, and ``feed`` and the like where it is an address
========================  ======================================================================

A field of which nothing is known is absent (``field: null`` matches). Such rules have a matcher
of their own: what others remember by a source's own fields does not hold for them. Where no
folder of look-ups is set, rules that match only what is known are left out (`possible`); where
one is, they see the events alone of which something is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from detectors.engine.access import Getter
from detectors.engine.condition import Rule
from detectors.enrich.enricher import NOTHING, Enricher, Row
from detectors.fields import KNOWN, alternatives
from detectors.match import Matcher, RuleFailure
from detectors.sigma import RuleSet
from schemas.batch import EventBatch, Strings

PREFIX: Final = KNOWN
#: Rows, and for each event which of them is its own.
Numbered = tuple[Sequence[Row], NDArray[np.integer[Any]]]
_PLACES: Final = ("country", "continent", "region", "city", "asn", "as_name", "flags")
_ENTRIES: Final = ("name", "owner", "criticality", "environment", "tags")
_MATCHES: Final[dict[str, Callable[[Row], Any]]] = {
    "feed": lambda row: list(dict.fromkeys(match.feed for match in row.matches)),
    "indicator": lambda row: [match.name for match in row.matches if match.name],
    "labels": lambda row: [label for match in row.matches for label in match.labels],
    "confidence": lambda row: max((match.confidence for match in row.matches), default=None),
    "score": lambda row: round(100 * row.weight, 1) if row.matches else None,
    "benign": lambda row: list(row.benign),
}


class Known(NamedTuple):
    """An event, and what is known of where it came from, of who acted and of where it went."""

    event: Any
    src: Row
    entity: Row
    dst: Row


def asks(fields: Iterable[str]) -> bool:
    """Say whether any field is one of these."""
    return any(field.startswith(PREFIX) for field in fields)


def asks_dst(fields: Iterable[str]) -> bool:
    """Say whether any field is one of a destination."""
    return any(field.startswith(f"{PREFIX}dst.") for field in fields)


def is_known(field: str) -> bool:
    """Say whether look-ups have a field: it is in the table of the module."""
    return field.startswith(PREFIX) and _getter(field) is not _absent


def own(fields: Iterable[str]) -> frozenset[str]:
    """Return the fields that the source itself has."""
    return frozenset(field for field in fields if not field.startswith(PREFIX))


def possible(rules: RuleSet, enricher: Enricher | None) -> RuleSet:
    """Return the rules that can match: without look-ups none that needs something to be known."""
    if enricher is not None:
        return rules
    return RuleSet(
        (rule for rule in rules.rules if not _needs(rule)), rules.unsupported, rules.plan
    )


def _needs(rule: Rule) -> bool:
    """Say whether a rule matches only where something is known."""
    return asks(rule.fields) and all(asks(fields) for fields in alternatives(rule))


class _Events(Sequence[Known]):
    """The events of a batch with what is known, each made when it is looked at.

    Parameters
    ----------
    decoded
        The events.
    src, entity, dst
        What is known, and for each event its number in that: of the address, of who acted, and
        of where it went.
    """

    def __init__(
        self,
        decoded: Sequence[Any],
        src: Numbered,
        entity: Numbered,
        dst: Numbered,
    ) -> None:
        self._decoded, self._parts = decoded, (src, entity, dst)

    def __len__(self) -> int:
        return len(self._decoded)

    @overload
    def __getitem__(self, row: int) -> Known: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[Known]: ...
    def __getitem__(self, row: int | slice) -> Known | Sequence[Known]:
        if isinstance(row, slice):
            return [self[each] for each in range(*row.indices(len(self)))]
        return Known(self._decoded[row], *(rows[index[row]] for rows, index in self._parts))

    def known(self) -> list[int]:
        """Return the rows of which anything is known."""
        found = np.zeros(len(self), bool)
        for rows, index in self._parts:
            told = np.array([row is not NOTHING for row in rows], bool)
            if told.any():
                found |= told[index]
        rows_of: list[int] = np.flatnonzero(found).tolist()
        return rows_of


class Knowing:
    """Rules that ask for what is known, over events with it.

    Parameters
    ----------
    rules
        Those of which `asks` holds for the fields.
    decoder
        Of the source: finds all other fields.
    enricher
        Whose tables may be swapped at any time; a batch sees one set of them. None: nothing
        is known of anything.
    destinations
        Fields that have the address an event went to, where a rule asks for it.
    """

    def __init__(
        self,
        rules: Iterable[Rule],
        decoder: Any,
        enricher: Enricher | None,
        destinations: Iterable[str] = (),
    ) -> None:
        self._enricher = enricher
        self._getter: Callable[[str], Getter] = decoder.getter
        self._destinations = list(map(decoder.getter, destinations))
        text = getattr(decoder, "text", None)
        of_known = None if text is None else lambda known: text(known.event)
        asking = list(rules)
        self._need = all(map(_needs, asking))
        self.matcher = Matcher(asking, self.getter, of_known)
        #: What rules raised in the last call of `match`, as `Matcher.errors`.
        self.errors: list[RuleFailure] = []

    def getter(self, field: str) -> Getter:
        """Return a function from a `Known` to the value of a field."""
        if field.startswith(PREFIX):
            return _getter(field)
        inner = self._getter(field)
        return lambda known: inner(known.event)

    def events(self, batch: EventBatch, decoded: Sequence[Any]) -> _Events:
        """Return the events of a batch with what is known; looks distinct values up, once each."""
        none = (NOTHING,), np.zeros(len(decoded), np.int32)
        if self._enricher is None:
            return _Events(decoded, none, none, none)
        enricher = Enricher(self._enricher.tables)  # the same for all columns
        src = enricher.addresses(batch.src_ip.values), batch.src_ip.index
        entity = enricher.addresses(batch.entity.values), batch.entity.index
        if not self._destinations:
            return _Events(decoded, src, entity, none)
        went = Strings.of(list(map(self._destination, decoded)))
        return _Events(decoded, src, entity, (enricher.addresses(went.values), went.index))

    def _destination(self, event: Any) -> str:
        """Return the address an event went to, empty where it has none."""
        for get in self._destinations:
            value = get(event)
            if isinstance(value, str) and value:
                return value
        return ""

    def match(self, events: _Events) -> list[tuple[int, Rule]]:
        """Return (row, rule) of every match, by row.

        Events of which nothing is known are not looked at where no rule can match them.
        """
        rows = events.known() if self._need else range(len(events))
        found = self.matcher.match([events[row] for row in rows]) if rows else []
        failed = self.matcher.errors if rows else []
        self.errors = [(rows[at], rule, error) for at, rule, error in failed]
        return [(rows[at], rule) for at, rule in found]


def _getter(field: str) -> Getter:
    """Return how a field is read; one that is not in the table is absent from every event."""
    _, _, rest = field.partition(".")
    whose, _, name = rest.partition(".")
    if whose not in {"src", "entity", "dst"}:
        return _absent
    if name in _PLACES:
        value: Callable[[Row], Any] = lambda row: getattr(row.place, name)  # noqa: E731
    elif name in _ENTRIES:
        value = lambda row: getattr(row.entry, name, None)  # noqa: E731
    elif name in _MATCHES:
        value = _MATCHES[name]
    else:
        return _absent

    def get(known: Known) -> Any:
        found = value(getattr(known, whose))
        found = list(found) if isinstance(found, tuple) else found
        return None if found in ("", []) else found

    return get


def _absent(known: Known) -> None:
    return None
