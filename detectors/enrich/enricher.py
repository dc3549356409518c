"""All look-ups behind one door, over the distinct values of columns, with new tables at any time.

`Enricher.swap` replaces all tables in one assignment. Whoever looks up reads them once and
keeps those for the call, so that a batch never sees half of an update, without any lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.enrich.attack import Attack
from detectors.enrich.benign import BenignTable
from detectors.enrich.context import Context, Entry
from detectors.enrich.geo import NOWHERE, Geo, Place
from detectors.enrich.indicators import IP, URL, spelled
from detectors.enrich.table import IndicatorTable, Match

#: What a benign list leaves of an indicator's weight: both may be right, since addresses of
#: clouds and content networks serve everyone.
BENIGN_WEIGHT: Final = 0.25


class Tables(NamedTuple):
    """All that is looked up; each immutable but for its memo."""

    geo: Geo
    indicators: IndicatorTable
    benign: BenignTable
    context: Context
    attack: Attack


class Row(NamedTuple):
    """What is known of one value.

    Attributes
    ----------
    place
        Of an address.
    matches
        Indicators, the best first.
    benign
        Names of the benign lists that it is on.
    entry
        The asset or identity that it is.
    """

    place: Place = NOWHERE
    matches: tuple[Match, ...] = ()
    benign: tuple[str, ...] = ()
    entry: Entry | None = None

    @property
    def weight(self) -> float:
        """How bad the value is known to be, 0 to 1: for a score's intelligence factor."""
        best = self.matches[0].score / 100 if self.matches else 0.0
        return best * BENIGN_WEIGHT if self.benign else best


NOTHING: Final = Row()


class Enricher:
    """Looks values up in the tables of the moment.

    Parameters
    ----------
    tables
        To begin with; None: nothing is known of anything.
    """

    def __init__(self, tables: Tables | None = None) -> None:
        nothing = Tables(Geo(), IndicatorTable(), BenignTable(), Context(), Attack())
        self.tables = nothing if tables is None else tables

    def swap(self, tables: Tables) -> None:
        """Look up in other tables from now on; what is under way ends with the old ones."""
        self.tables = tables

    def addresses(self, values: Sequence[str], now_s: float | None = None) -> list[Row]:
        """Return what is known of each of some distinct addresses; `NOTHING` for most.

        Meant for a column of a batch: ``enricher.addresses(batch.src_ip.values)`` has a row
        for each of the column's values, to be taken by ``batch.src_ip.index``.
        """
        tables = self.tables
        matches = tables.indicators.find(IP, values, now_s)
        benign = tables.benign.addresses(values)
        places, entries = tables.geo.find(values), tables.context.find(values)
        return [
            Row(place, tuple(matches.get(number, ())), tuple(benign.get(number, ())), entry)
            if place is not NOWHERE or entry is not None or number in matches or number in benign
            else NOTHING
            for number, (place, entry) in enumerate(zip(places, entries, strict=True))
        ]

    def weights(self, values: Sequence[str], now_s: float | None = None) -> NDArray[np.float32]:
        """Return how bad each of some distinct addresses is known to be, see `Row.weight`."""
        tables = self.tables
        found = np.zeros(len(values), np.float32)
        if matches := tables.indicators.find(IP, values, now_s):
            benign = tables.benign.addresses(values)
            for number, each in matches.items():
                row = Row(matches=tuple(each), benign=tuple(benign.get(number, ())))
                found[number] = row.weight
        return found

    def names(self, kind: str, values: Sequence[str], now_s: float | None = None) -> list[Row]:
        """Return what is known of distinct domain names, URLs, hashes or e-mail addresses.

        Parameters
        ----------
        kind
            One of `detectors.enrich.indicators.KINDS`, but no addresses.
        values
            As events have them.
        """
        tables = self.tables
        plain = [spelled(kind, value) for value in values]
        matches = tables.indicators.find(kind, plain, now_s)
        hosts = (
            [value.partition("://")[2].partition("/")[0] for value in plain]
            if kind == URL
            else plain
        )
        benign = tables.benign.names(hosts)
        entries = tables.context.find(hosts)
        return [
            Row(NOWHERE, tuple(matches.get(number, ())), tuple(benign.get(number, ())), entry)
            if entry is not None or number in matches or number in benign
            else NOTHING
            for number, entry in enumerate(entries)
        ]
