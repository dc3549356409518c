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
intel.entity.owner        of who acted; likewise, and ``feed`` and the like where it is an address
========================  ======================================================================

A field of which nothing is known is absent (``field: null`` matches). Such rules have a matcher
of their own: what others remember by a source's own fields does not hold for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from detectors.engine.access import Getter
from detectors.engine.condition import Rule
from detectors.enrich.enricher import NOTHING, Enricher, Row
from detectors.fields import KNOWN
from detectors.match import Matcher
from schemas.batch import EventBatch

PREFIX: Final = KNOWN
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
    """An event, and what is known of where it came from and of who acted."""

    event: Any
    src: Row
    entity: Row


def asks(fields: Iterable[str]) -> bool:
    """Say whether any field is one of these."""
    return any(field.startswith(PREFIX) for field in fields)


def own(fields: Iterable[str]) -> frozenset[str]:
    """Return the fields that the source itself has."""
    return frozenset(field for field in fields if not field.startswith(PREFIX))


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
    """

    def __init__(self, rules: Iterable[Rule], decoder: Any, enricher: Enricher | None) -> None:
        self._enricher = enricher
        self._getter: Callable[[str], Getter] = decoder.getter
        text = getattr(decoder, "text", None)
        of_known = None if text is None else lambda known: text(known.event)
        self.matcher = Matcher(list(rules), self.getter, of_known)

    def getter(self, field: str) -> Getter:
        """Return a function from a `Known` to the value of a field."""
        if field.startswith(PREFIX):
            return _getter(field)
        inner = self._getter(field)
        return lambda known: inner(known.event)

    def events(self, batch: EventBatch, decoded: Sequence[Any]) -> list[Known]:
        """Return the events of a batch with what is known; looks distinct values up, once each."""
        if self._enricher is None:
            return [Known(event, NOTHING, NOTHING) for event in decoded]
        enricher = Enricher(self._enricher.tables)  # the same for both columns
        src = enricher.addresses(batch.src_ip.values)
        entity = enricher.addresses(batch.entity.values)
        places = zip(batch.src_ip.index.tolist(), batch.entity.index.tolist(), strict=True)
        return [
            Known(event, src[at], entity[who])
            for event, (at, who) in zip(decoded, places, strict=True)
        ]


def _getter(field: str) -> Getter:
    """Return how a field is read; one that is not in the table is absent from every event."""
    _, _, rest = field.partition(".")
    whose, _, name = rest.partition(".")
    if whose not in {"src", "entity"}:
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
        found = value(known.src if whose == "src" else known.entity)
        found = list(found) if isinstance(found, tuple) else found
        return None if found in ("", []) else found

    return get


def _absent(known: Known) -> None:
    return None
