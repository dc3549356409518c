"""Attack logs of any source through the whole pipeline: what `evaluate attacks` runs."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from detectors.correlation import WINDOW_MS
from detectors.correlation.offline import correlate
from detectors.detect import Detector, warm
from detectors.scoring.choose import online_models
from detectors.sigma import RuleSet
from schemas.batch import EventBatch
from sentinel.cli import _common, _offline
from sentinel.cli._offline import Problems
from sentinel.errors import SettingsError
from sentinel.reading import Reader
from streams.normalizer import Normalizer, Units
from streams.policy.rule_sets import own_rules

#: Source whose events tell whether they are of the kind that is always logged.
CLOUDTRAIL = "cloudtrail"
BATCH = 2000
DAY_MS = 86_400_000
#: What CloudTrail's data events are called; techniques that leave only such need their logging.
DATA_CATEGORY = "Data"


class Hit(NamedTuple):
    """A signal on an event: its rule or model, the entity, the event's id, time and score."""

    kind: str
    rule: str
    title: str
    entity: str
    uid: bytes
    time: int
    score: float


class Run:
    """Rules and models as the stream has them.

    Parameters
    ----------
    rules
        Directories of rules besides our own.
    background
        Logs that the models learn before each attack.
    source
        What wrote them: name of a connector.
    """

    def __init__(self, rules: Sequence[Path], background: Sequence[str], source: str) -> None:
        warm()
        self._source = source
        self._settings = _common.settings()
        self._connector = _offline.connector(source)
        cache = self._settings.home / "cache"
        loaded = RuleSet.load([own_rules(), *rules], cache=cache)
        self._normalizer = Normalizer(source, self._connector, loaded, 1)
        self._plan = loaded.plan
        self._background = self._batches(background) if background else []

    def _batches(self, paths: Iterable[str]) -> list[EventBatch]:
        """Read, normalize and match events, in order of time.

        Raises
        ------
        SettingsError
            There is no good event.
        """
        reader, problems = Reader([str(path) for path in paths]), Problems()
        raws = [unit.raw for unit in _offline.units(reader, self._connector, problems)]
        count = len(raws)
        numbers = list(range(count))
        units = Units(raws, [_offline.TENANT] * count, numbers, numbers, [0] * count)
        batches, _ = self._normalizer.normalize(units, (f"raw.{self._source}", 0), 0, count)
        if not batches:
            raise SettingsError(f"expected {self._source} events in {', '.join(reader.paths)}")
        ((_, whole),) = batches
        order = np.argsort(whole.time, kind="stable")
        sizes = [min(BATCH, len(order) - start) for start in range(0, len(order), BATCH)]
        return whole.split(order, sizes, 0, count)

    def _detect(self, batches: Sequence[EventBatch]) -> list[Hit]:
        """Return every signal on every event, after the background has been learnt.

        Correlations see these events alone: their windows are short, the background is earlier.
        """
        detector = Detector(
            online_models(),
            self._settings.model_threshold,
            together=True,
            budget=self._settings.model_budget,
            window_ms=WINDOW_MS,
        )
        hits, first = [], 0
        for number, given in enumerate([*self._background, *batches]):
            # sequences go up, or the detector takes events for replayed ones
            origin = np.arange(first, first + len(given))
            last = first + len(given) - 1
            batch = replace(given, origin=origin, origin_first=first, origin_last=last)
            first = last + 1
            for signal in detector.process(batch, number).signals:
                if number < len(self._background):
                    continue
                hits += _hits(signal)
        for alert in correlate(self._plan, batches):
            hits += _hits(alert)
        return hits

    @property
    def _pattern(self) -> str:
        return "*.json*" if self._source == CLOUDTRAIL else "*"

    def techniques(self, paths: Sequence[Path]) -> dict[str, Any]:
        """Run each file as one technique, named after it, each after the same background."""
        files = [
            file
            for path in paths
            for file in (sorted(path.rglob(self._pattern)) if path.is_dir() else [path])
            if file.is_file()
        ]
        rows = [self._technique(file) for file in files]
        managed = [row for row in rows if row["management_events"]]
        found = [row for row in managed if row["rules"] or row["models"]]
        summary = {
            "techniques": len(rows),
            "with management events": len(managed),
            "of those found": len(found),
            "by rules": sum(bool(row["rules"]) for row in managed),
            "by models": sum(bool(row["models"]) for row in managed),
            "events": sum(row["events"] for row in rows),
            "background events": sum(map(len, self._background)),
        }
        return {"benchmark": "attacks", "techniques": rows, "summary": summary}

    def _technique(self, file: Path) -> dict[str, Any]:
        batches = self._batches([str(file)])
        hits = self._detect(batches)
        rules = Counter(hit.rule for hit in hits if hit.kind != "model")
        models = Counter(hit.rule for hit in hits if hit.kind == "model")
        raws = [raw for batch in batches for raw in batch.raws(np.arange(len(batch)))]
        managed = sum(self._managed(raw) for raw in raws)
        names = {batch.operation.at(row) for batch in batches for row in range(len(batch))}
        return {
            "technique": file.name.partition(".json")[0],
            "events": len(raws),
            "management_events": managed,
            "rules": sorted(rules),
            "models": sorted(models),
            "titles": {hit.rule: hit.title for hit in hits},
            "reason": None if hits else _reason(managed, sorted(names)),
        }

    def _managed(self, raw: bytes) -> bool:
        """Return whether an event is logged wherever the source is."""
        return self._source != CLOUDTRAIL or json.loads(raw).get("eventCategory") != DATA_CATEGORY

    def entities(self, paths: Sequence[Path], attackers: Sequence[str]) -> dict[str, Any]:
        """Run all files as one stream; find the events of the attackers among the others."""
        batches = self._batches([str(path) for path in paths])
        hits = self._detect(batches)
        best: dict[bytes, float] = defaultdict(float)
        for hit in hits:
            best[hit.uid] = max(best[hit.uid], hit.score)
        names = [batch.entity.at(row) for batch in batches for row in range(len(batch))]
        scores = [best[batch.uid_of(row)] for batch in batches for row in range(len(batch))]
        bad = np.array([name in attackers for name in names])
        if not bad.any():
            known = ", ".join(name for name, _ in Counter(names).most_common(10))
            raise SettingsError(f"expected events of {', '.join(attackers)}, found only {known}")
        return {
            "benchmark": "attacks",
            "techniques": [],
            "summary": _ranked(np.array(scores), bad) | _alerts(batches, hits, attackers),
        }


def _hits(signal: Mapping[str, Any]) -> list[Hit]:
    """Return the events of a signal or alert."""
    said = (signal["kind"], signal["rule_id"], signal["title"], signal["entity"])
    return [Hit(*said, event["uid"], event["time"], event["score"]) for event in signal["events"]]


def _reason(managed: int, operations: list[str]) -> str:
    if not managed:
        return "only data events, which a trail has where their logging is on"
    return "no rule for, and nothing unusual in, " + ", ".join(operations[:4])


def _ranked(scores: Any, bad: Any) -> dict[str, Any]:
    """Return where the attackers' events are in the order of scores."""
    order = np.argsort(-scores, kind="stable")
    places = np.flatnonzero(bad[order]) + 1
    return {
        "events": len(scores),
        "attacker events": int(bad.sum()),
        "attacker events alerted on": int((scores[bad] > 0).sum()),
        "rank of the first attacker event": int(places[0]),
        "attacker share of the top 20": round(float(bad[order[:20]].mean()), 3),
        "attacker share of the top 100": round(float(bad[order[:100]].mean()), 3),
    }


def _alerts(
    batches: Sequence[EventBatch], hits: Sequence[Hit], attackers: Sequence[str]
) -> dict[str, Any]:
    """Return how many alerts there are: hits of one rule on one entity in one window."""
    times = np.concatenate([batch.time for batch in batches])
    days = max((int(times.max()) - int(times.min())) / DAY_MS, 1 / 24)
    alerts = {(hit.rule, hit.entity, hit.time // WINDOW_MS) for hit in hits}
    quiet = [alert for alert in alerts if alert[1] not in attackers]
    return {
        "days": round(days, 3),
        "alerts": len(alerts),
        "alerts on others": len(quiet),
        "alerts on others a day": round(len(quiet) / days, 2),
    }
