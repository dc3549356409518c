"""The gate that alerts pass on their way out of correlate: new, suppressed, staged, or cut.

**Budgets** count alerts, not events: an alert that was let through is not counted again when it
is amended; one that was cut opens, and counts, with the first repeat that finds room. Hours and
days are those of arrival, in UTC. A budget whose scope names rules holds for each of them apart
(``*``: every rule has its own), any other for the whole tenant.

Each partition of ``signals`` counts by itself and learns every two seconds what the others let
through (`Gate.settle`): no alert waits. Between two settlements it may let through its part of
what is left, which is what a rule within its budget does not reach by chance, see `share`. So a
limit holds over all partitions but for what a flood gets through within two seconds, at most
that much more; with one partition it is exact. What a partition knew of the others is in its
state, so a replay begins with the same.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from detectors.correlation import alert_id
from detectors.explain import budget_explanation
from detectors.suppress.policy import Policy, Suppression
from schemas.snapshot import pack, unpack
from sentinel.errors import SchemaError

#: Kind and rule id of the alert that says a budget is used up; it is OCSF "medium".
KIND, RULE_ID, SEVERITY = "budget", "sentinel.budget", 3
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
#: Counters, and alerts let through or kept quiet, that a partition remembers; the least recent
#: go first.
MAX_COUNTERS, MAX_PASSED = 10_000, 50_000
#: Standard deviations that a partition's part may lie above the mean.
SIGMAS = 3.0
#: Between the parts of a counter's key, and before the key of one that says it cut.
_BETWEEN, _CUT = "\x1f", "cut "


def share(limit: int, partitions: int) -> int:
    """Return how many of `limit` alerts one of `partitions` lets through.

    Alerts fall to partitions by a hash, so of `limit` a partition gets `limit` / `partitions`
    on average, with a variance of at most that (binomial): mean plus three deviations.

    >>> [share(100, n) for n in (1, 4, 16)]
    [100, 40, 14]
    """
    mean = max(limit, 0) / partitions
    return limit if partitions == 1 else min(limit, math.ceil(mean + SIGMAS * math.sqrt(mean)))


def tenant_and_end(key: str) -> tuple[str, int]:
    """Return the tenant of a counter, and when its hour or day ends, in ms since the epoch."""
    _, tenant, rest = key.split(_BETWEEN, 2)
    _, unit, number = rest.rsplit(_BETWEEN, 2)
    return tenant, (int(number) + 1) * (HOUR_MS if unit == "hour" else DAY_MS)


class Gate:
    """State of one ``signals`` partition: what its budgets have let through.

    Parameters
    ----------
    partitions
        How many there are.
    """

    VERSION = 1

    def __init__(self, partitions: int = 1) -> None:
        self._partitions = partitions
        #: Alerts let through, by budget, tenant, rule, unit and its number since the epoch.
        self._counts: OrderedDict[str, int] = OrderedDict()
        #: Of each counter, what the others know of it, and what they let through themselves.
        self._settled: dict[str, tuple[int, int]] = {}
        self._passed: OrderedDict[str, None] = OrderedDict()
        self._quiet: OrderedDict[str, None] = OrderedDict()
        self._evicted = 0

    @property
    def evictions(self) -> int:
        """Counters and alerts forgotten at their bounds."""
        return self._evicted

    def process(self, alerts: Iterable[dict[str, Any]], policy: Policy) -> list[dict[str, Any]]:
        """Return the alerts with their status, and those that say a budget is used up.

        Parameters
        ----------
        alerts
            Records of ``alert.avsc``, changed in place. One without events passes as it is.
        policy
            What holds now.
        """
        found: list[dict[str, Any]] = []
        for alert in alerts:
            found.append(alert)
            if not alert["events"]:
                continue
            arrived = max(event["arrived"] for event in alert["events"])
            times = [event["time"] for event in alert["events"]]
            by = _tune(alert, arrived, policy) or policy.suppressed(alert, arrived, times)
            if by:
                alert |= {"status": "suppressed", "suppression": by}
            elif alert.get("status", "new") == "new":
                found += self._spend(alert, arrived, policy)
            self._note(alert)
        self._bound()
        return found

    def _spend(
        self, alert: dict[str, Any], arrived: int, policy: Policy
    ) -> Iterator[dict[str, Any]]:
        """Count an alert towards its budgets; cut it where one is used up."""
        budgets = policy.budgets(alert, arrived)
        if not budgets:
            return
        if alert["id"] in self._passed:
            self._passed.move_to_end(alert["id"])
            return
        counters = [each for budget in budgets for each in _counters(budget, alert, arrived)]
        for key, limit, name, budget in counters:
            told, elsewhere = self._settled.get(key, (0, 0))
            left = share(limit - told - elsewhere, self._partitions)
            if self._counts.get(key, 0) - told >= left:
                alert |= {"status": "suppressed", "suppression": budget.id}
                if _CUT + key not in self._counts:
                    self._counts[_CUT + key] = 1
                    yield _notice(alert, budget, key, limit, name)
                return
        for key, *_ in counters:
            self._counts[key] = self._counts.get(key, 0) + 1
            self._counts.move_to_end(key)
        self._passed[alert["id"]] = None

    def counted(self) -> dict[str, int]:
        """Return what was let through, by counter."""
        return {key: count for key, count in self._counts.items() if not key.startswith(_CUT)}

    def settle(self, told: Mapping[str, int], elsewhere: Mapping[str, int]) -> None:
        """Learn what the other partitions let through.

        Parameters
        ----------
        told
            What `counted` returned, which they know now.
        elsewhere
            What all others let through, by counter; each that is told is there.
        """
        self._settled = {key: (told.get(key, 0), count) for key, count in elsewhere.items()}

    def _note(self, alert: dict[str, Any]) -> None:
        """Remember what is quiet, so that it is news when it opens; what is open stays open."""
        if alert["status"] == "new":
            alert["reopened"] = self._quiet.pop(alert["id"], False) is None
        elif alert["count"] <= len(alert["events"]) or alert["id"] in self._quiet:
            self._quiet[alert["id"]] = None
            self._quiet.move_to_end(alert["id"])

    def _bound(self) -> None:
        while len(self._counts) > MAX_COUNTERS:
            self._counts.popitem(last=False)
            self._evicted += 1
        for held in (self._passed, self._quiet):
            while len(held) > MAX_PASSED:
                held.popitem(last=False)
                self._evicted += 1

    def snapshot(self) -> bytes:
        """Return the state, for `restore`."""
        values: dict[str, Any] = {"counts": list(self._counts.items())}
        values |= {"passed": list(self._passed), "quiet": list(self._quiet)}
        settled = [(key, *known) for key, known in self._settled.items()]
        return pack("gate", self.VERSION, values | {"settled": settled})

    def restore(self, state: bytes) -> None:
        """Take up what `snapshot` returned; raise `SchemaError` where it is not that."""
        values = unpack("gate", self.VERSION, state)
        settled = values.pop("settled", [])  # earlier versions had none
        if values.keys() != {"counts", "passed", "quiet"}:
            raise SchemaError(f"expected a whole snapshot of the gate, found {sorted(values)}")
        self._counts = OrderedDict((key, count) for key, count in values["counts"])
        self._passed = OrderedDict.fromkeys(values["passed"])
        self._quiet = OrderedDict.fromkeys(values["quiet"])
        self._settled = {key: (told, elsewhere) for key, told, elsewhere in settled}


def _tune(alert: dict[str, Any], arrived: int, policy: Policy) -> str:
    """Let an alert be as the tenant has its rule or model; return what switched it off, or "".

    Alerts of plain rules are so already: their matches were, before anything came of them.
    """
    if not policy.tunings or alert["kind"] == "rule":
        return ""
    said = policy.tunings.of(alert["tenant"], alert["rule_id"], alert["source"], arrived)
    if said.severity is not None:
        alert["severity_id"] = said.severity
    if said.staged is not None:
        alert["status"] = "staged" if said.staged else "new"
    return said.by if said.disabled else ""


def _counters(
    budget: Suppression, alert: Mapping[str, Any], arrived: int
) -> Iterator[tuple[str, int, str, Suppression]]:
    """Yield what an alert counts towards: key, limit, unit and budget."""
    rule = alert["rule_id"] if budget.scope.rules else ""
    for limit, length, name in (
        (budget.per_hour, HOUR_MS, "hour"),
        (budget.per_day, DAY_MS, "day"),
    ):
        if limit is not None:
            parts = (budget.id, alert["tenant"], rule, name, str(arrived // length))
            yield _BETWEEN.join(parts), limit, name, budget


def _notice(
    alert: Mapping[str, Any], budget: Suppression, key: str, limit: int, unit: str
) -> dict[str, Any]:
    """Return the alert that says, once for each hour or day, that a budget is used up."""
    rule = alert["rule_id"] if budget.scope.rules else ""
    whose = f"rule {alert['title']}" if rule else f"tenant {alert['tenant']}"
    start = tenant_and_end(key)[1] - (HOUR_MS if unit == "hour" else DAY_MS)
    same = {name: alert[name] for name in ("tenant", "source", "first_seen", "last_seen")}
    return same | {
        "id": alert_id(alert["tenant"], RULE_ID, f"{budget.id} {rule} {unit}", start),
        "kind": KIND,
        "rule_id": RULE_ID,
        "title": f"Alerts are cut: the budget of {limit} per {unit} of {whose} is used up",
        "techniques": [],
        "severity_id": SEVERITY,
        "score": 0.5,
        "entity": rule or alert["tenant"],
        "explanation": budget_explanation(whose, limit, unit, start, budget.id, alert["id"]),
        "count": 1,
        "events": [],
        "status": "new",
        "suppression": "",
    }
