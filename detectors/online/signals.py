"""Signals: hits of one rule or model on one entity, folded: ``signal_batch.avsc``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.explain import rule_explanation
from detectors.score import rule_score, severity
from schemas.batch import EventBatch


class Fold:
    """Collects the signals of one call: hits of the same rule or model on the same group."""

    def __init__(self) -> None:
        self.signals: dict[tuple[str, ...], dict[str, Any]] = {}

    def add(
        self, about: dict[str, Any], event: dict[str, Any], explanation: Callable[[], str]
    ) -> None:
        """Add an event to the signal it belongs to; the first one is explained."""
        names = ("tenant", "source", "kind", "rule_id", "group")
        key = tuple(about[name] for name in names)
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
        explained = _explanations(batch)
        for hit in sorted(batch.hits, key=lambda hit: hit.event):
            if hit.event not in wanted:
                continue
            rule = batch.rules[hit.rule]
            said = about(batch, hit.event, "rule", rule.id, rule.title, rule.techniques)
            said["severity_id"] = rule.severity_id
            text = hit.explanation or explained.get(_subject(batch, hit.event, hit.rule), "")
            event = event_of(batch, hit.event, offset, rule_score(rule.severity_id))
            self.add(said, event, partial(_or_plain, text, partial(rule_explanation, rule, {})))


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


def _subject(batch: EventBatch, row: int, rule: int) -> tuple[int, int, int]:
    """Return what shares an explanation within a batch: rule, tenant, entity."""
    return rule, int(batch.tenant.index[row]), int(batch.entity.index[row])


def _explanations(batch: EventBatch) -> dict[tuple[int, int, int], str]:
    """Return the explanations in a batch, also those of events that go no further."""
    found: dict[tuple[int, int, int], str] = {}
    for hit in batch.hits:
        if hit.explanation:
            found.setdefault(_subject(batch, hit.event, hit.rule), hit.explanation)
    return found


def _or_plain(text: str, plain: Callable[[], str]) -> str:
    """Return `text`, or where it is empty what `plain` makes."""
    return text or plain()
