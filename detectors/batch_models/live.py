"""Promoted versions at work in the stream: which model scores which events, and what it says.

Each promoted model judges by itself, besides the online ones: its anomaly is a tail probability
among the events that it learnt from, so it needs no history of its own and changes none. Events
are points as the online isolation forest makes them; where that does not run there are none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.batch_models.history import Step, spans
from detectors.batch_models.kinds import Scored, Trained
from detectors.online.features import contributions
from detectors.score import DECADES
from schemas.batch import EventBatch

#: Events to tell 1 in 10,000 apart; a model of fewer says `cold_start`.
ENOUGH: Final = 10_000


class Live(NamedTuple):
    """One kind of model of a tenant's source.

    Attributes
    ----------
    kind
        Of `detectors.batch_models.kinds.KINDS`.
    spans
        From which arrival on (ms since the epoch, ascending) which version is used.
    models
        By version.
    """

    kind: str
    spans: Sequence[tuple[int, int]]
    models: Mapping[int, Trained]

    @property
    def id(self) -> str:
        """Rule id of its alerts."""
        return f"model.batch.{self.kind}"

    @property
    def title(self) -> str:
        """One line for an analyst."""
        return f"Event unlike those that the {self.kind.replace('_', ' ')} learnt from"

    @property
    def techniques(self) -> tuple[str, ...]:
        """ATT&CK techniques: odd in general, so none."""
        return ()

    def versions(self, arrived: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the version for each arrival, 0 for none."""
        place = np.searchsorted([since for since, _ in self.spans], arrived, side="right")
        return np.array([0, *(version for _, version in self.spans)])[place]

    def anomaly(
        self, points: NDArray[np.float32], versions: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return float64[n], 0 to 1: how odd each point is to its version; 0 where it has none."""
        found = np.zeros(len(points))
        for version in set(versions.tolist()) & self.models.keys():
            at = versions == version
            scored: Scored = self.models[version].score(points[at])
            found[at] = scored.anomaly
        return found

    def explain(
        self, batch: EventBatch, row: int, point: NDArray[np.float32], version: int, anomaly: float
    ) -> dict[str, Any]:
        """Say why, as `detectors.base.Model.explain` does."""
        model = self.models[version]
        return {
            "contributions": contributions(batch, row, point, model.contributions(point)),
            "baseline": {
                "compared_with": f"{len(model):,} events that version {version} learnt from",
                "version": version,
                "rarity": f"about 1 in {round(10 ** (anomaly * DECADES)):,} of them or rarer",
            },
            "cold_start": len(model) < ENOUGH,
            "quiet": "Events like it among those that a later version learns from.",
        }


#: By tenant and source.
Shelf = Mapping[tuple[str, str], Sequence[Live]]
NOTHING: Final[Shelf] = {}
#: Tenant, source and kind.
Which = tuple[str, str, str]


def needed(steps: Mapping[Which, Sequence[Step]], since: int) -> set[tuple[Which, int]]:
    """Return the versions that are live, or were at `since` (ms since the epoch) or later."""
    return {(which, version) for which, own in steps.items() for _, version in spans(own, since)}


def shelf(
    steps: Mapping[Which, Sequence[Step]],
    models: Mapping[tuple[Which, int], Trained],
    since: int,
) -> Shelf:
    """Put up what is live, or was at `since` or later; versions not in `models` score nothing."""
    found: dict[tuple[str, str], list[Live]] = defaultdict(list)
    for which, own in sorted(steps.items()):
        late = spans(own, since)
        mine = {
            version: models[which, version] for _, version in late if (which, version) in models
        }
        if mine:
            found[which[:2]].append(Live(which[2], late, mine))
    return dict(found)
