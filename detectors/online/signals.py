"""Signals: hits of one rule or model on one entity, folded: ``signal_batch.avsc``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.explain import rule_explanation
from detectors.score import rule_score, severity
from schemas.batch import EventBatch, RuleRef

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
    ) -> list[dict[str, Any]]:
        """Add an event to the signal it belongs to; the first one is explained.

        Returns
        -------
        list
            The events of the signal.
        """
        names = ("tenant", "source", "kind", "rule_id", "group")
        key = (*(about[name] for name in names), str(event["time"] // self._window_ms))
        signal = self.signals.get(key)
        if signal is None:
            signal = about | {"score": 0.0, "explanation": explanation(), "events": []}
            self.signals[key] = signal
        signal["events"].append(event)
        if event["score"] > signal["score"]:
            signal["score"] = event["score"]
            if signal["kind"] in {"model", "risk"}:
                signal["severity_id"] = severity(event["score"])
        if signal["kind"] == "risk":  # it has grown: the newest says all of it
            signal["techniques"], signal["explanation"] = about["techniques"], explanation()
        events: list[dict[str, Any]] = signal["events"]
        return events

    def rule_hits(self, batch: EventBatch, offset: int, rows: NDArray[np.int64]) -> None:
        """Add the rule hits of the events at `rows` of the batch at `offset`."""
        if not batch.hits:
            return
        fresh = np.zeros(len(batch), np.bool_)
        fresh[rows] = True
        places = np.array([hit.event for hit in batch.hits])
        subjects = self._subjects(batch, places)
        texts: dict[Subject, str] = {}  # also of events that go no further
        for hit, key in zip(batch.hits, subjects, strict=True):
            if hit.explanation:
                texts.setdefault(key, hit.explanation)
        events: dict[Subject, list[dict[str, Any]]] = {}
        wanted = np.flatnonzero(fresh[places])
        for at in wanted[np.argsort(places[wanted], kind="stable")].tolist():
            hit, key = batch.hits[at], subjects[at]
            rule = batch.rules[hit.rule]
            event = event_of(batch, hit.event, offset, rule_score(rule.severity_id))
            found = events.get(key)
            if found is not None:
                found.append(event)
                continue
            said = about(batch, hit.event, "rule", rule.id, rule.title, rule.techniques)
            said["severity_id"] = rule.severity_id
            said["staged"] = rule.staged
            text = hit.explanation or texts.get(key, "")
            events[key] = self.add(said, event, partial(_or_plain, text, rule))

    def _subjects(self, batch: EventBatch, places: NDArray[np.int64]) -> list[Subject]:
        """Return the subject of each hit, whose events are at `places`."""
        windows = batch.time[places] // self._window_ms
        tenants, entities = batch.tenant.index[places], batch.entity.index[places]
        rules = [hit.rule for hit in batch.hits]
        columns = (tenants.tolist(), entities.tolist(), windows.tolist())
        return list(zip(rules, *columns, strict=True))


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
        "staged": False,
    }


def event_of(batch: EventBatch, row: int, offset: int, score: float) -> dict[str, Any]:
    """Return one ``SignalEvent``."""
    return {
        "uid": batch.uid_of(row),
        "time": int(batch.time[row]),
        "arrived": int(batch.arrived[row]),
        "origin": offset,
        "row": row,  # for what is in this process; it does not travel
        "score": score,
        "raw": batch.raw_of(row),
    }


def _or_plain(text: str, rule: RuleRef) -> str:
    """Return `text`, or where it is empty what can be said of any hit of the rule."""
    return text or _plain(rule)


@lru_cache(maxsize=1 << 12)
def _plain(rule: RuleRef) -> str:
    return rule_explanation(rule, {})
