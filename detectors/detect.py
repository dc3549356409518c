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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from inspect import signature
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

import detectors.models
from detectors.base import Model
from detectors.correlation import WINDOW_MS
from detectors.explain import model_explanation
from detectors.incidents.risk import Risk
from detectors.online.dedup import HORIZON, SeenIds, Watermarks
from detectors.online.joins import Gathered, Lanes
from detectors.online.places import Locate, nowhere
from detectors.online.signals import Fold, about, event_of
from detectors.score import HIGHEST, combine, multipliers, severity
from schemas.batch import STRING_COLUMNS, EventBatch, Strings
from schemas.identity import uid_text
from schemas.joins import Arrivals
from schemas.snapshot import pack, unpack
from sentinel.errors import SchemaError, SettingsError
from sentinel.registry import discover

#: Runs a call and returns its result, or the exception it raised.
Guard = Callable[[Callable[[], Any]], Any]

#: Tenants with live models in one partition, each source apart (what is usual in one says
#: nothing about another); the least recently active loses its models.
MAX_TENANTS = 32


def unguarded(call: Callable[[], Any]) -> Any:
    """Run `call` and let its exceptions out: for tests, backtest and evaluation."""
    return call()


def all_models() -> list[type[Model]]:
    """Return the classes of all online models there are."""
    found = discover(detectors.models, Model)  # type: ignore[type-abstract]
    return list(found.values())


def online_models(names: Sequence[str] = (), locate: Locate = nowhere) -> list[type[Model]]:
    """Return what makes the models that run, for `Detector`: those named, or the default ones.

    Parameters
    ----------
    names
        Module names in `detectors.models`, or model ids.
    locate
        Looks up where addresses are, for the models that ask.

    Raises
    ------
    SettingsError
        There is no model of a name.
    """
    known = all_models()
    wanted = {name.removeprefix("model.") for name in names}
    short = [model.id.removeprefix("model.") for model in known]
    if missing := sorted(wanted - set(short)):
        raise SettingsError(f"expected models among {', '.join(short)}, found {missing}")
    chosen = [m for m, name in zip(known, short, strict=True) if name in wanted] or [
        model for model in known if model.default
    ]
    if locate is nowhere:
        return list(chosen)
    return [
        cast("type[Model]", partial(cast("Any", model), locate=locate)) if _asks(model) else model
        for model in chosen
    ]


def _asks(model: type[Model]) -> bool:
    """Say whether a model asks where addresses are."""
    return "locate" in signature(model).parameters


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


class ModelError(NamedTuple):
    """`model` raised `error` on the event at `row` of the batch at `offset`.

    The event is not lost: rules and other models have seen it, and this model has not
    learnt from it.
    """

    offset: int
    row: int
    model: str
    error: Exception


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
    arrivals
        What events contribute to correlations, in their order; None where that is nothing.
    """

    signals: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)
    replayed: int = 0
    errors: list[ModelError] = field(default_factory=list)
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
    ) -> None:
        self._window_ms = window_ms
        self._risk = risk or Risk()
        self._factories = models
        self._threshold = threshold
        # most events are far below: look closer only at what any multiplier could lift
        self._near = max(threshold / HIGHEST * (1 - 1e-9), np.finfo(np.float64).tiny)
        self._guard = guard
        self._max_tenants = max_tenants
        self._seen = SeenIds(horizon)
        self._watermarks = Watermarks()
        self._lanes = Lanes()
        self._tenants: OrderedDict[str, list[Model]] = OrderedDict()
        self._evicted: dict[str, int] = {"tenants": 0}

    @property
    def evictions(self) -> dict[str, int]:
        """State dropped since the start, by what: ``seen_ids``, ``tenants``, each model id."""
        total = self._evicted | {"seen_ids": self._seen.evictions, "risk": self._risk.evictions}
        for models in self._tenants.values():
            for model in models:
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
                for model in self._models(_key(tenant, batch.source)):
                    self._model(model, batch, offset, part, out, fold)
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

    def _models(self, key: str) -> list[Model]:
        """Return the models of a tenant's source, made where there are none."""
        models = self._tenants.get(key)
        if models is None:
            if len(self._tenants) >= self._max_tenants:
                self._evict()
            models = self._tenants[key] = [make() for make in self._factories]
        self._tenants.move_to_end(key)
        return models

    def _evict(self) -> None:
        """Drop the models of the least recently active tenant, and count them."""
        _, models = self._tenants.popitem(last=False)
        self._evicted["tenants"] += 1
        for model in models:
            self._evicted[model.id] = self._evicted.get(model.id, 0) + model.evictions

    def _model(
        self,
        model: Model,
        batch: EventBatch,
        offset: int,
        rows: NDArray[np.int64],
        out: Detected,
        fold: Fold,
    ) -> None:
        """Let one model score and learn `rows`, and fold what reaches the threshold."""
        for part, anomaly in self._scored(model, batch, offset, rows, out):
            near = np.flatnonzero(anomaly >= self._near)
            if not len(near):
                continue
            scores = combine(anomaly[near], multipliers(batch, part[near]))
            for place, score in zip(near.tolist(), scores.tolist(), strict=True):
                if score < self._threshold:
                    continue
                row = int(part[place])
                said = about(batch, row, "model", model.id, model.title, model.techniques)
                said["severity_id"] = severity(score)
                explain = partial(
                    self._explained, model, batch, offset, row, float(anomaly[place]), out
                )
                fold.add(said, event_of(batch, row, offset, score), explain)

    def _scored(
        self,
        model: Model,
        batch: EventBatch,
        offset: int,
        rows: NDArray[np.int64],
        out: Detected,
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """Yield rows and their anomalies: all at once, or one by one where that raised."""
        found = self._guard(partial(model.score_learn, batch, rows))
        if not isinstance(found, Exception):
            yield rows, found
            return
        for row in rows:
            single = np.array([row], dtype=np.int64)
            found = self._guard(partial(model.score_learn, batch, single))
            if isinstance(found, Exception):
                out.errors.append(ModelError(offset, int(row), model.id, found))
            else:
                yield single, found

    def _explained(
        self,
        model: Model,
        batch: EventBatch,
        offset: int,
        row: int,
        anomaly: float,
        out: Detected,
    ) -> str:
        """Return the model's explanation; an alert is never lost for want of one."""
        said = self._guard(partial(model.explain, batch, row, anomaly))
        if isinstance(said, Exception):
            out.errors.append(ModelError(offset, row, model.id, said))
            said = {}
        uid = uid_text(batch.uid_of(row))
        entity = batch.entity.at(row)
        return model_explanation(model.title, model.techniques, entity, said, [uid])

    def snapshot(self) -> bytes:
        """Return the whole state: watermarks, seen ids, the models of every tenant."""
        tenants = [
            [tenant, {model.id: model.snapshot() for model in models}]
            for tenant, models in self._tenants.items()
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
        for tenant, saved in values["tenants"]:
            models = self._models(tenant)
            for model in models:
                if model.id in saved:
                    model.restore(saved[model.id])


def _key(tenant: str, source: str) -> str:
    """Return what models are kept by."""
    return f"{tenant}\x1f{source}"
