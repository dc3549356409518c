"""Entity risk: what rules, models and findings say of one entity, added up and forgotten again.

    risk = sum of points · 0.5 ^ (age / half-life) · breadth

Points of a rule or model are its score (0 to 1, `detectors.score`) times the weight of the
heaviest tactic it points at. Breadth is 1 + `BREADTH` for each further ATT&CK tactic among the
parts: the same doubt from several stages of an attack is worth more than from one. From
``threshold`` on a risk alert is made, which names its parts; then none for `COOL_MS`, unless the
risk grows to `ESCALATES` times what it was.

What keeps one noisy source from becoming a risk by itself:

- a rule counts once: a repeat renews its points and adds none, so risk needs different things;
- models look at the same events, so the strongest counts whole and any other `OTHER_MODELS`;
- rules on trial do not count.

The weighted sum is that of risk-based alerting (Splunk, "The Essential Guide to Risk Based
Alerting", 2022: score = impact times confidence, limits for what repeats, alerts over several
tactics or sources); that further contributions of a kind count less is also how Elastic scores
entities (Riemann zeta weights, p = 1.5, in "Entity risk scoring", Elastic Security 8). Exponential
decay with a half-life is Cohen and Strauss 2003, "Maintaining time-decaying stream aggregates":
it needs no window, and no state beyond the parts. ATT&CK itself gives its tactics no weights;
`WEIGHTS` are ours: what an attacker does late, near the goal, and what is rarely done in good
faith, weighs more than looking around.

Time is an event's, but never later than its arrival, so that one wrong clock in the future does
not make everything else old.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from functools import lru_cache, partial
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import msgspec

from detectors.explain import risk_explanation
from detectors.incidents.grouping import RISK as TITLE
from detectors.incidents.tactics import TACTICS, tactics_of
from detectors.online.signals import Fold
from detectors.score import severity
from sentinel.errors import SchemaError

KIND, RULE_ID = "risk", "risk.entity"
HOUR_MS: Final = 3_600_000
THRESHOLD: Final = 2.0
HALF_LIFE_MS: Final = 24 * HOUR_MS
COOL_MS: Final = 24 * HOUR_MS
ESCALATES: Final = 1.5
BREADTH: Final = 0.25
OTHER_MODELS: Final = 0.25
#: Weight of each tactic; of what points at none.
WEIGHTS: Final = {
    "reconnaissance": 0.7,
    "resource-development": 0.7,
    "initial-access": 1.0,
    "execution": 1.0,
    "persistence": 1.0,
    "privilege-escalation": 1.2,
    "defense-evasion": 1.1,
    "credential-access": 1.2,
    "discovery": 0.7,
    "lateral-movement": 1.3,
    "collection": 1.1,
    "command-and-control": 1.2,
    "exfiltration": 1.4,
    "impact": 1.4,
}
NO_TACTIC: Final = 0.8
#: Points below which a part is forgotten: a fortieth of the threshold.
LEAST: Final = 0.05
#: Entities of a partition, and parts of an entity, that are remembered (about 150 B a part). The
#: least recent entity and the smallest part go first.
MAX_ENTITIES, MAX_PARTS = 10_000, 24
#: A repeat renews a part once it has lost so much that less than this is left of it.
RENEWED: Final = 0.98
#: Score of an alert at the threshold: the lower end of "high".
AT_THRESHOLD: Final = 0.6
VERSION: Final = 1


class Part(msgspec.Struct, array_like=True):
    """What one rule or model contributes: `points` as they were at `time`, ms since the epoch."""

    kind: str
    title: str
    time: int
    points: float
    techniques: list[str]


class State(msgspec.Struct, array_like=True):
    """What is known of one entity; times are ms since the epoch."""

    now: int
    parts: dict[str, Part]
    alerted: int = 0
    alerted_risk: float = 0.0


class Risk:
    """Risk of the entities of one events partition.

    Parameters
    ----------
    threshold
        From which an alert is made; infinity switches it off.
    half_life_ms
        After which a part counts half.
    max_entities
        Remembered; `evictions` counts those that were not.
    """

    def __init__(
        self,
        threshold: float = THRESHOLD,
        half_life_ms: int = HALF_LIFE_MS,
        *,
        max_entities: int = MAX_ENTITIES,
    ) -> None:
        self._threshold = threshold
        self._half_life = half_life_ms
        self._max = max_entities
        self._entities: OrderedDict[str, State] = OrderedDict()
        self.evictions = 0

    def observe(self, fold: Fold) -> None:
        """Add what the signals of one call say, in the order of their events; alert by a signal.

        The order is that of the events in their partition, so how they were cut into batches
        makes no difference.
        """
        if math.isinf(self._threshold):
            return  # switched off
        found = [
            (event["origin"], event["row"], signal["rule_id"], key, weight, signal, event)
            for signal in fold.signals.values()
            if signal["kind"] in {"rule", "model"} and signal["entity"] and not signal.get("staged")
            for key, weight in [(_key(signal), _weight(tuple(signal["techniques"])))]
            for event in signal["events"]
        ]
        found.sort(key=itemgetter(0, 1, 2))
        for _, same in groupby(found, key=itemgetter(0, 1)):
            news = [each[-2:] for each in same if self._add(*each[2:])]
            if news:
                signal, event = news[0]
                self._judge(signal, event, fold)

    def risk(self, tenant: str, entity: str, time: int) -> float:
        """Return the risk of an entity at `time`, 0 where nothing is known of it."""
        state = self._entities.get(f"{tenant}\x1f{entity}")
        return self._sum(self._faded(state, max(time, state.now)))[0] if state else 0.0

    def _add(
        self,
        rule: str,
        key: str,
        weight: float,
        signal: Mapping[str, Any],
        event: Mapping[str, Any],
    ) -> bool:
        """Count one event of a signal; return whether that changed anything."""
        state = self._state(key)
        time = min(event["time"], event["arrived"])
        state.now = max(state.now, time)
        points = event["score"] * weight
        known = state.parts.get(rule)
        if known and known.points * self._decay(time - known.time) >= RENEWED * points:
            return False  # it counts for as much already
        state.parts[rule] = Part(
            signal["kind"], signal["title"], time, points, list(signal["techniques"])
        )
        return True

    def _judge(self, signal: Mapping[str, Any], event: Mapping[str, Any], fold: Fold) -> None:
        """Alert where the risk of the entity of an event reaches the threshold."""
        state = self._state(_key(signal))
        parts = self._faded(state, state.now)
        total, tactics = self._sum(parts)
        if total < self._threshold or not self._due(state, total):
            return
        state.alerted, state.alerted_risk = state.now, total
        techniques = sorted({each for _, _, part in parts for each in part.techniques})
        said = {name: signal[name] for name in ("tenant", "source", "entity", "group")}
        score = min(1.0, AT_THRESHOLD * total / self._threshold)
        said |= {"kind": KIND, "rule_id": RULE_ID, "title": TITLE, "techniques": techniques}
        said |= {"severity_id": severity(score), "staged": False}
        explain = partial(self._explain, signal["entity"], total, parts, techniques, tactics)
        fold.add(said, dict(event) | {"score": score}, explain)

    def _due(self, state: State, total: float) -> bool:
        cool = not state.alerted or state.now - state.alerted >= COOL_MS
        return cool or total >= ESCALATES * state.alerted_risk

    def _state(self, key: str) -> State:
        state = self._entities.get(key)
        if state is None:
            if len(self._entities) >= self._max:
                self._entities.popitem(last=False)
                self.evictions += 1
            state = self._entities[key] = State(0, {})
        self._entities.move_to_end(key)
        return state

    def _decay(self, age: int) -> float:
        return float(0.5 ** (age / self._half_life)) if age > 0 else 1.0

    def _faded(self, state: State, now: int) -> list[tuple[str, float, Part]]:
        """Return id, points at `now` and part of what still counts, largest first."""
        found = [
            (rule, points, part)
            for rule, part in state.parts.items()
            if (points := part.points * self._decay(now - part.time)) >= LEAST
        ]
        found.sort(key=lambda each: (-each[1], each[0]))
        if (now == state.now and len(found) < len(state.parts)) or len(found) > MAX_PARTS:
            self.evictions += max(0, len(found) - MAX_PARTS)
            state.parts = {rule: part for rule, _, part in found[:MAX_PARTS]}
        return found[:MAX_PARTS]

    def _sum(self, parts: Iterable[tuple[str, float, Part]]) -> tuple[float, tuple[str, ...]]:
        """Return the risk of parts, largest first, and their tactics."""
        total, models = 0.0, 0
        tactics: set[str] = set()
        for _, points, part in parts:
            total += points * (OTHER_MODELS if part.kind == "model" and models else 1.0)
            models += part.kind == "model"
            tactics |= _tactics(part.techniques)
        named = tuple(each for each in TACTICS if each in tactics)
        return total * (1 + BREADTH * max(0, len(named) - 1)), named

    def _explain(
        self,
        entity: str,
        total: float,
        parts: Iterable[tuple[str, float, Part]],
        techniques: list[str],
        tactics: tuple[str, ...],
    ) -> str:
        said = [
            {
                "rule_id": rule,
                "title": part.title,
                "kind": part.kind,
                "time": part.time,
                "points": round(points, 4),
                "tactics": [each for each in TACTICS if each in _tactics(part.techniques)],
            }
            for rule, points, part in parts
        ]
        hours = self._half_life / HOUR_MS
        return risk_explanation(entity, total, self._threshold, said, techniques, tactics, hours)

    def snapshot(self) -> bytes:
        """Return the whole state, for `restore`."""
        return msgspec.msgpack.encode((VERSION, self.evictions, [*self._entities.items()]))

    def restore(self, state: bytes) -> None:
        """Take up what `snapshot` returned; raise `SchemaError` where it is not that."""
        try:
            version, evictions, items = msgspec.msgpack.decode(
                state, type=tuple[int, int, list[tuple[str, State]]]
            )
        except msgspec.MsgspecError as error:
            raise SchemaError(f"expected a snapshot of risk, found other bytes: {error}") from error
        if version != VERSION:
            raise SchemaError(f"expected risk snapshot version {VERSION}, found {version}")
        self._entities, self.evictions = OrderedDict(items), evictions


def _key(signal: Mapping[str, Any]) -> str:
    """Return what the risk of a signal's entity is kept by."""
    return f"{signal['tenant']}\x1f{signal['entity']}"


def _tactics(techniques: Iterable[str]) -> frozenset[str]:
    """Return one tactic of each technique, its first: a technique of four is not four stages."""
    return _first_tactics(tuple(techniques))


@lru_cache(maxsize=1 << 12)  # those of rules and models, and there are so many of these
def _first_tactics(techniques: tuple[str, ...]) -> frozenset[str]:
    return frozenset(found[0] for each in techniques if (found := tactics_of([each])))


@lru_cache(maxsize=1 << 12)
def _weight(techniques: tuple[str, ...]) -> float:
    return max((WEIGHTS[tactic] for tactic in _tactics(techniques)), default=NO_TACTIC)
