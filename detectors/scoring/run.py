"""Let the models of a tenant score events, and fold what is odd into signals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.base import Model
from detectors.batch_models.live import Live, Shelf
from detectors.explain import model_explanation
from detectors.online.hashing import hash_column
from detectors.online.signals import Fold, about, event_of
from detectors.score import (
    COLD_HISTORY,
    DECADES,
    MOST,
    combine,
    intelligence,
    multipliers,
    severity,
)
from detectors.scoring.ensemble import Ensemble
from detectors.suppress.tuning import Tunings
from schemas.batch import EventBatch
from schemas.identity import uid_text

#: Runs a call and returns its result, or the exception it raised.
Guard = Callable[[Callable[[], Any]], Any]


def unguarded(call: Callable[[], Any]) -> Any:
    """Run `call` and let its exceptions out: for tests, backtest and evaluation."""
    return call()


class ModelError(NamedTuple):
    """`model` raised `error` on the event at `row` of the batch at `offset`.

    The event is not lost: rules and other models have seen it, and this model has not
    learnt from it.
    """

    offset: int
    row: int
    model: str
    error: Exception


class Scoring:
    """How models are run, without state of its own.

    Parameters
    ----------
    threshold
        Score from which an event is reported.
    together
        Judge what the models say of an event together; else each signals by itself.
    guard
        Runs every call into a model.
    tunings
        Returns what tenants have set of models; looked at where they are judged together.
    shelf
        Returns the batch models that were promoted; as well.
    """

    def __init__(
        self,
        threshold: float,
        together: bool,
        guard: Guard,
        tunings: Callable[[], Tunings] = Tunings,
        shelf: Callable[[], Shelf] = dict,
    ) -> None:
        self._threshold, self._together, self._guard = threshold, together, guard
        self._tunings, self._shelf = tunings, shelf
        # most events are far below: look closer only at what any multiplier could lift
        self._near = max(threshold / MOST * (1 - 1e-9), np.finfo(np.float64).tiny)

    def run(
        self,
        group: Ensemble,
        batch: EventBatch,
        offset: int,
        rows: NDArray[np.int64],
        fold: Fold,
    ) -> list[ModelError]:
        """Score and learn `rows`, one tenant's, and fold what is to be reported."""
        errors: list[ModelError] = []
        if self._together:
            self._judge(group, batch, offset, rows, errors, fold)
            self._promoted(group, batch, offset, rows, errors, fold)
            return errors
        for model in group.models:
            self._model(model, batch, offset, rows, errors, fold)
        return errors

    def _model(
        self,
        model: Model,
        batch: EventBatch,
        offset: int,
        rows: NDArray[np.int64],
        errors: list[ModelError],
        fold: Fold,
    ) -> None:
        """Let one model score and learn `rows`, and fold what reaches the threshold."""
        for part, anomaly in self._scored(model, batch, offset, rows, errors):
            near = np.flatnonzero(anomaly >= self._near)
            if not len(near):
                continue
            scores = combine(anomaly[near], multipliers(batch, part[near]))
            for place, score in zip(near.tolist(), scores.tolist(), strict=True):
                if score < self._threshold:
                    continue
                row = int(part[place])
                why = partial(model.explain, batch, row, float(anomaly[place]))
                self._report(model, why, batch, offset, row, score, errors, fold)

    def _judge(
        self,
        group: Ensemble,
        batch: EventBatch,
        offset: int,
        rows: NDArray[np.int64],
        errors: list[ModelError],
        fold: Fold,
    ) -> None:
        """Let all models score and learn `rows`, judge them together, fold what is odd."""
        anomaly, alone = np.zeros((len(group.models), len(rows))), set()
        for at, model in enumerate(group.models):
            for part, scores in self._scored(model, batch, offset, rows, errors):
                if part is rows:
                    anomaly[at] = scores
                    continue
                anomaly[at, np.searchsorted(rows, part)] = scores
                if len(part) != len(rows):
                    alone.add(at)  # it knows its latest row only
        if not np.isfinite(anomaly).all():
            np.nan_to_num(anomaly, copy=False)
        entity, time = hash_column(batch.entity, rows), batch.time[rows].astype(np.int64)
        found = group.judge(anomaly, multipliers(batch, rows), entity, time)
        bars = self._bars([model.id for model in group.models], batch, rows)
        for place in group.alerts(found, self._threshold, bars).tolist():
            lead = int(np.argmax(found.parts[:, place]))
            model, row, score = group.models[lead], int(rows[place]), found.score(place)
            more = group.said(found, place)
            why: Callable[[], dict[str, Any]] = dict
            if lead not in alone:
                why = partial(model.explain, batch, row, float(anomaly[lead, place]))
            self._report(model, why, batch, offset, row, score, errors, fold, more)

    def _promoted(
        self,
        group: Ensemble,
        batch: EventBatch,
        offset: int,
        rows: NDArray[np.int64],
        errors: list[ModelError],
        fold: Fold,
    ) -> None:
        """Let promoted batch models score `rows`, each by itself, and fold what is odd."""
        shelf, points = self._shelf(), group.points
        if not shelf or not len(rows) or points is None or len(points) != len(rows):
            return
        multiplier = multipliers(batch, rows)
        for live in shelf.get((batch.tenant.at(int(rows[0])), batch.source), ()):
            versions = live.versions(batch.arrived[rows])
            anomaly = self._guard(partial(live.anomaly, points, versions))
            if isinstance(anomaly, Exception):
                errors.append(ModelError(offset, int(rows[0]), live.id, anomaly))
                continue
            scores = combine(anomaly, multiplier)
            bars = self._bars([live.id], batch, rows)
            needed = np.full(len(rows), self._threshold)
            if bars is not None:
                needed = np.where(np.isnan(bars[0]), needed, bars[0] / DECADES)
            for place in np.flatnonzero((scores >= needed - 1e-9) & (anomaly > 0)).tolist():
                row, score = int(rows[place]), float(scores[place])
                why = partial(
                    live.explain,
                    *(batch, row, points[place], int(versions[place]), float(anomaly[place])),
                )
                self._report(live, why, batch, offset, row, score, errors, fold)

    def _report(
        self,
        model: Model | Live,
        why: Callable[[], dict[str, Any]],
        batch: EventBatch,
        offset: int,
        row: int,
        score: float,
        errors: list[ModelError],
        fold: Fold,
        more: dict[str, Any] | None = None,
    ) -> None:
        """Fold what a model says of an event; `why` is asked only if that is to be explained."""
        said = about(batch, row, "model", model.id, model.title, model.techniques)
        said["severity_id"] = severity(score)
        explain = partial(self._explained, model, why, batch, offset, row, errors, more)
        fold.add(said, event_of(batch, row, offset, score), explain)

    def _bars(
        self, names: list[str], batch: EventBatch, rows: NDArray[np.int64]
    ) -> NDArray[np.float64] | None:
        """Return the decades that the tenant of `rows` asks of models; None: as for all."""
        tunings = self._tunings()
        if not tunings or not len(rows):
            return None
        return tunings.bars(batch.tenant.at(int(rows[0])), batch.source, names, batch.arrived[rows])

    def _scored(
        self,
        model: Model,
        batch: EventBatch,
        offset: int,
        rows: NDArray[np.int64],
        errors: list[ModelError],
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
                errors.append(ModelError(offset, int(row), model.id, found))
            else:
                yield single, found

    def _explained(
        self,
        model: Model | Live,
        why: Callable[[], dict[str, Any]],
        batch: EventBatch,
        offset: int,
        row: int,
        errors: list[ModelError],
        more: dict[str, Any] | None,
    ) -> str:
        """Return the model's explanation; an alert is never lost for want of one."""
        said = self._guard(why)
        if isinstance(said, Exception):
            errors.append(ModelError(offset, row, model.id, said))
            said = {}
        if more is not None:
            said = said | {
                "baseline": (said.get("baseline") or {}) | {"together": more},
                "cold_start": said.get("cold_start", False) or more["events"] < COLD_HISTORY,
            }
        if told := intelligence(batch, row):
            said = said | {"baseline": (said.get("baseline") or {}) | told}
        uid = uid_text(batch.uid_of(row))
        entity = batch.entity.at(row)
        return model_explanation(model.title, model.techniques, entity, said, [uid])
