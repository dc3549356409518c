"""Correlations over the matches of `sentinel match`, which has events but no stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from connectors.base import Summary
from detectors.correlation.extract import Extractor
from detectors.correlation.offline import Offline
from detectors.sigma import Rule, RuleSet
from schemas.batch import STRING_COLUMNS, EventBatch, Strings
from sentinel.cli._offline import TENANT

#: An event's id, what is known of it, and what was decoded.
Known = tuple[bytes, Summary, Any]
Hits = list[tuple[int, Rule]]


class Stories:
    """Takes the matches of a source's events; raises what correlations make of them.

    Parameters
    ----------
    source, ruleset
        The connector's name, and the rules that are for it.
    getter
        Of its decoder.
    """

    def __init__(
        self, source: str, ruleset: RuleSet, getter: Callable[[str], Callable[[Any], Any]]
    ) -> None:
        self._source, self._plan = source, ruleset.plan
        self._extractor = Extractor(ruleset.plan, ruleset.rules, getter)
        self._offline = Offline(ruleset.plan)
        self._taken = 0

    def take(self, events: Sequence[Known], hits: Hits) -> Hits:
        """Take the matches of some events; return those that stand for themselves."""
        wanted = sorted({row for row, rule in hits if rule.id in self._plan.steps})
        if wanted:
            places = {row: place for place, row in enumerate(wanted)}
            chosen = [events[row] for row in wanted]
            batch = self._batch(chosen)
            mine = [(places[row], rule) for row, rule in hits if row in places]
            batch.joins = self._extractor.joins(batch, [each[2] for each in chosen], mine)
            self._offline.add(batch)
        return [(row, rule) for row, rule in hits if rule.id not in self._plan.silent]

    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts of all events taken."""
        return self._offline.close()

    def _batch(self, events: Sequence[Known]) -> EventBatch:
        count, first = len(events), self._taken
        self._taken += count
        summaries = [summary for _, summary, _ in events]
        texts: dict[str, Any] = {
            name: Strings.of([getattr(each, name) for each in summaries])
            for name in STRING_COLUMNS[1:]
        }
        numbers: dict[str, Any] = {
            name: np.array([getattr(each, name) for each in summaries], np.int32)
            for name in ("class_uid", "activity_id", "status_id", "severity_id")
        }
        times = np.array([each.time for each in summaries], np.int64)
        uids = np.frombuffer(b"".join(uid for uid, _, _ in events), np.uint8)
        return EventBatch(
            source=self._source,
            origin_topic="",
            origin_partition=0,
            origin_first=first,
            origin_last=first + count - 1,
            uid=uids.reshape(-1, 16),
            time=times,
            arrived=times,
            origin=np.arange(first, first + count, dtype=np.int64),
            raw=[b"{}"] * count,  # an alert names its events, it need not show them here
            raw_end=2 * np.arange(1, count + 1, dtype=np.int64),
            tenant=Strings([TENANT], np.zeros(count, np.int32)),
            **texts,
            **numbers,
        )
