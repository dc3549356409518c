"""Signals: hits of one rule or model on one entity, folded: ``signal_batch.avsc``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.explain import rule_explanation
from detectors.score import rule_score, severity
from schemas.batch import EventBatch, Hit

#: Rule, tenant and entity by their places in the batch, and the window.
Subject = tuple[int, int, int, int]


class Fold:
    """Collects the signals of one call: hits of the same rule or model on the same group.

    Hits that fall into different windows are different signals, because they will be
    different alerts (`detectors.correlation`), each with an explanation of its own.
    """

    def __init__(self, window_ms: int) -> None:
        self._window_ms = window_ms
        self.signals: dict[tuple[str, ...], dict[str, Any]] = {}

    def add(
        self, about: dict[str, Any], event: dict[str, Any], explanation: Callable[[], str]
    ) -> None:
        """Add an event to the signal it belongs to; the first one is explained."""
        names = ("tenant", "source", "kind", "rule_id", "group")
        key = (*(about[name] for name in names), str(event["time"] // self._window_ms))
        signal = self.signals.get(key)
        if signal is None:
            signal = about | {"score": 0.0, "explanation": explanation(), "events": []}
            self.signals[key] = signal
        signal["events"].append(event)
        if event["score"] > signal["score"]:
            signal["score"] = event["score"]
            if signal["kind"] == "model":
                signal["severity_id"] = severity(event["score"])

    def rule_hits(self, batch: EventBatch, offset: int, rows: NDArray[np.int64]) -> None:
        """Add the rule hits of the events at `rows` of the batch at `offset`."""
        if not batch.hits:
            return
        wanted = set(rows.tolist())
        explained = self._explanations(batch)
        for hit in sorted(batch.hits, key=lambda hit: hit.event):
            if hit.event not in wanted:
                continue
            rule = batch.rules[hit.rule]
            said = about(batch, hit.event, "rule", rule.id, rule.title, rule.techniques)
            said["severity_id"] = rule.severity_id
            text = hit.explanation or explained.get(self._subject(batch, hit), "")
            event = event_of(batch, hit.event, offset, rule_score(rule.severity_id))
            self.add(said, event, partial(_or_plain, text, partial(rule_explanation, rule, {})))

    def _subject(self, batch: EventBatch, hit: Hit) -> Subject:
        return subject(batch, hit.event, hit.rule, self._window_ms)

    def _explanations(self, batch: EventBatch) -> dict[Subject, str]:
        """Return the explanations in a batch, also those of events that go no further."""
        found: dict[Subject, str] = {}
        for hit in batch.hits:
            if hit.explanation:
                found.setdefault(self._subject(batch, hit), hit.explanation)
        return found


def subject(batch: EventBatch, row: int, rule: int, window_ms: int) -> Subject:
    """Return what hits have in common that share an explanation: they become one alert."""
    window = int(batch.time[row]) // window_ms
    return rule, int(batch.tenant.index[row]), int(batch.entity.index[row]), window


def about(
    batch: EventBatch, row: int, kind: str, rule_id: str, title: str, techniques: Sequence[str]
) -> dict[str, Any]:
    """Return what a signal says besides its events; the group is the entity."""
    entity = batch.entity.at(row)
    return {
        "tenant": batch.tenant.at(row),
        "source": batch.source,
        "kind": kind,
        "rule_id": rule_id,
        "title": title,
        "techniques": list(techniques),
        "entity": entity,
        "group": entity,
    }


def event_of(batch: EventBatch, row: int, offset: int, score: float) -> dict[str, Any]:
    """Return one ``SignalEvent``."""
    return {
        "uid": batch.uid_of(row),
        "time": int(batch.time[row]),
        "arrived": int(batch.arrived[row]),
        "origin": offset,
        "score": score,
        "raw": batch.raw_of(row),
    }


def _or_plain(text: str, plain: Callable[[], str]) -> str:
    """Return `text`, or where it is empty what `plain` makes."""
    return text or plain()
