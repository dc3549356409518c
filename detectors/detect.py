"""The detect step: events in, signals and ledger counts out; pure, for one events partition.

In order: events processed before are dropped (`Watermarks`), duplicates of the source are
counted and go no further (`SeenIds`), the models of the event's tenant score and learn, and
what rules (matched in normalize) and models say is folded into signals.

**Delivery.** All state is in `snapshot`. Restored from the snapshot taken after some offset
and fed what follows it, in any batches, a detector gives the same signals, scores and counts
bit for bit. An exception that leaves `process` (none does, with a guard) leaves the state
undefined: discard the detector and restore.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.base import Model
from detectors.batch_models.live import Shelf
from detectors.correlation import WINDOW_MS
from detectors.incidents.risk import Risk
from detectors.online.dedup import HORIZON, SeenIds, Watermarks
from detectors.online.joins import Gathered, Lanes
from detectors.online.signals import Fold
from detectors.scoring.choose import online_models
from detectors.scoring.ensemble import Ensemble
from detectors.scoring.run import Guard, ModelError, Scoring, unguarded
from detectors.suppress.tuning import Tunings
from schemas.batch import STRING_COLUMNS, EventBatch, Strings
from schemas.joins import Arrivals
from schemas.snapshot import pack, unpack
from sentinel.errors import SchemaError

#: Tenants with live models in one partition, each source apart (what is usual in one says
#: nothing about another); the least recently active loses its models.
MAX_TENANTS = 32


def warm() -> None:
    """Compile every kernel, or load it from numba's disk cache (seconds, or 0.1 s).

    Call it at set-up and when a process starts, so that no event waits for the compiler.
    """
    numbers = np.zeros(1, np.int64)
    small = numbers.astype(np.int32)
    text: dict[str, Any] = {name: Strings([""], small) for name in STRING_COLUMNS}
    batch = EventBatch(
        source="",
        origin_topic="",
        origin_partition=0,
        origin_first=0,
        origin_last=0,
        uid=np.zeros((1, 16), np.uint8),
        time=numbers,
        arrived=numbers,
        origin=numbers,
        class_uid=small,
        activity_id=small,
        status_id=small,
        severity_id=small,
        raw=b"",
        raw_end=numbers,
        **text,
    )
    Detector(online_models(), threshold=1.0, horizon=1).process(batch, 0)


@dataclass(slots=True)
class Detected:
    """What the batches of one call gave.

    Attributes
    ----------
    signals
        Records ``Signal`` of ``signal_batch.avsc``, one for each tenant, source, rule or
        model, and entity; per batch in the order of their first events, rules first.
    counts
        Ledger counts by (tenant, source): ``in`` = ``duplicate`` + ``out``.
    replayed
        Events dropped because an earlier call had processed them; not in the ledger.
    errors
        Events on which a model raised.
    drifts
        Changes of a tenant's stream that made its models learn anew.
    arrivals
        What events contribute to correlations, in their order; None where that is nothing.
    """

    signals: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)
    replayed: int = 0
    errors: list[ModelError] = field(default_factory=list)
    drifts: int = 0
    arrivals: Arrivals | None = None


class Detector:
    """State and step of one events partition.

    Parameters
    ----------
    models
        What makes the models of a tenant: the discovered classes, or factories.
    threshold
        Score (after the event multiplier) from which a model signals.
    guard
        Runs every call into a model. Given one that returns exceptions (streams has it),
        a batch on which a model raises is run again row by row, and just the events that
        raise are reported. That is exact because a model raises before it changes its
        state or not at all.
    max_tenants
        Tenants with live models; `evictions` counts those that lost theirs.
    horizon
        Event ids remembered, see `SeenIds`.
    window_ms
        Window in which hits fold into one alert, see `detectors.correlation`.
    risk
        What adds up over rules and models, see `detectors.incidents.risk`.
    together
        Judge what the models say of an event together (`detectors.ensemble`), as the stream
        does; else each signals by itself.
    budget
        With `together`: alerts per entity and week; 0: the threshold decides.
    tunings
        With `together`: returns what tenants have set of models.
    shelf
        With `together`: returns the batch models that were promoted.

    Notes
    -----
    A snapshot takes 16 B for each remembered id (2 MiB) and at most 0.95 MB for each
    tenant's two models: 3 MB with one tenant whose tables are full.
    """

    VERSION = 1

    def __init__(
        self,
        models: Sequence[Callable[[], Model]],
        threshold: float,
        *,
        guard: Guard = unguarded,
        max_tenants: int = MAX_TENANTS,
        horizon: int = HORIZON,
        window_ms: int = WINDOW_MS,
        risk: Risk | None = None,
        together: bool = False,
        budget: float = 0.0,
        tunings: Callable[[], Tunings] = Tunings,
        shelf: Callable[[], Shelf] = dict,
    ) -> None:
        self._budget = budget
        self._window_ms = window_ms
        self._risk = risk or Risk()
        self._factories = models
        self._scoring = Scoring(threshold, together, guard, tunings, shelf)
        self._max_tenants = max_tenants
        self._seen = SeenIds(horizon)
        self._watermarks = Watermarks()
        self._lanes = Lanes()
        self._tenants: OrderedDict[str, Ensemble] = OrderedDict()
        self._evicted: dict[str, int] = {"tenants": 0}

    @property
    def evictions(self) -> dict[str, int]:
        """State dropped since the start, by what: ``seen_ids``, ``tenants``, each model id."""
        total = self._evicted | {"seen_ids": self._seen.evictions, "risk": self._risk.evictions}
        for group in self._tenants.values():
            for model in group.models:
                total[model.id] = total.get(model.id, 0) + model.evictions
        return total

    def process(self, batch: EventBatch, offset: int) -> Detected:
        """Process one batch, the record at `offset` of the events partition."""
        return self.process_many([(offset, batch)])

    def process_many(self, batches: Sequence[tuple[int, EventBatch]]) -> Detected:
        """Process batches in the order of their offsets; fold their signals together."""
        out, fold, gathered = Detected(), Fold(self._window_ms), Gathered()
        for offset, batch in batches:
            rows = self._unseen(batch, out)
            fold.rule_hits(batch, offset, rows)
            if batch.joins is not None:
                gathered.add(batch, offset, rows, self._lanes.before(batch))
            self._lanes.advance(batch, rows)
            for tenant, part in self._by_tenant(batch, rows):
                group = self._models(_key(tenant, batch.source))
                drifts = group.drifts
                out.errors += self._scoring.run(group, batch, offset, part, fold)
                out.drifts += group.drifts - drifts
        self._risk.observe(fold)
        out.signals, out.arrivals = list(fold.signals.values()), gathered.arrivals()
        return out

    def _unseen(self, batch: EventBatch, out: Detected) -> NDArray[np.int64]:
        """Return the rows neither replayed nor duplicate; count them all."""
        fresh = self._watermarks.fresh(batch)
        self._watermarks.advance(batch)
        out.replayed += len(batch) - len(fresh)
        duplicate = self._seen.mark(batch.uid.take(fresh, axis=0))
        width = len(batch.tenant.values)
        tenants = batch.tenant.index[fresh]
        received = np.bincount(tenants, minlength=width)
        doubled = np.bincount(tenants[duplicate], minlength=width)
        for place in np.flatnonzero(received):
            counts = out.counts.setdefault(
                (batch.tenant.values[place], batch.source), {"in": 0, "duplicate": 0, "out": 0}
            )
            counts["in"] += int(received[place])
            counts["duplicate"] += int(doubled[place])
            counts["out"] += int(received[place] - doubled[place])
        return fresh[~duplicate]

    def _by_tenant(
        self, batch: EventBatch, rows: NDArray[np.int64]
    ) -> list[tuple[str, NDArray[np.int64]]]:
        """Split `rows` by tenant, so that models come and go as if event by event.

        Where no tenant can lose its models, each tenant's rows are one part, in the order
        of last use; else every run of one tenant is a part, which is slower and exact.
        """
        names, index = batch.tenant.values, batch.tenant.index[rows]
        if len(names) == 1:
            return [(names[0], rows)] if len(rows) else []
        present, last = np.unique(index[::-1], return_index=True)
        if (
            len(self._tenants.keys() | {_key(names[p], batch.source) for p in present})
            <= self._max_tenants
        ):
            ordered = present[np.argsort(-last)]
            return [(names[place], rows[index == place]) for place in ordered]
        cuts = np.flatnonzero(np.diff(index)) + 1
        return [(batch.tenant.at(int(part[0])), part) for part in np.split(rows, cuts)]

    def _models(self, key: str) -> Ensemble:
        """Return the models of a tenant's source, made where there are none."""
        group = self._tenants.get(key)
        if group is None:
            if len(self._tenants) >= self._max_tenants:
                self._evict()
            models = [make() for make in self._factories]
            group = self._tenants[key] = Ensemble(models, self._budget)
        self._tenants.move_to_end(key)
        return group

    def _evict(self) -> None:
        """Drop the models of the least recently active tenant, and count them."""
        _, group = self._tenants.popitem(last=False)
        self._evicted["tenants"] += 1
        for model in group.models:
            self._evicted[model.id] = self._evicted.get(model.id, 0) + model.evictions

    def snapshot(self) -> bytes:
        """Return the whole state: watermarks, seen ids, the models of every tenant."""
        tenants = [
            [tenant, {model.id: model.snapshot() for model in group.models}, group.state()]
            for tenant, group in self._tenants.items()
        ]
        values = {
            "watermarks": self._watermarks.state(),
            "lanes": self._lanes.state(),
            "seen": self._seen.snapshot(),
            "tenants": tenants,
            "evicted": self._evicted,
            "risk": self._risk.snapshot(),
        }
        return pack("detector", self.VERSION, values)

    def restore(self, state: bytes) -> None:
        """Take up a snapshot. A model that it does not know starts cold.

        Raises
        ------
        SchemaError
            It is of another version, or broken.
        """
        values = unpack("detector", self.VERSION, state)
        lanes = values.pop("lanes", [])  # of before there were correlations: none
        risk = values.pop("risk", b"")
        if values.keys() != {"watermarks", "seen", "tenants", "evicted"}:
            raise SchemaError(f"expected a whole detector snapshot, found {sorted(values)}")
        self._watermarks.load(values["watermarks"])
        self._lanes.load(lanes)
        self._seen.restore(values["seen"])
        self._evicted = values["evicted"]
        if risk:
            self._risk.restore(risk)
        self._tenants.clear()
        for tenant, saved, *histories in values["tenants"]:
            group = self._models(tenant)
            for model in group.models:
                if model.id in saved:
                    model.restore(saved[model.id])
            if histories and histories[0]["models"] == [model.id for model in group.models]:
                group.load(histories[0])


def _key(tenant: str, source: str) -> str:
    """Return what models are kept by."""
    return f"{tenant}\x1f{source}"
