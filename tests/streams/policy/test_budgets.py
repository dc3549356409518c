"""Budgets hold over the partitions of several workers, which meet in PostgreSQL."""

from __future__ import annotations

import time
from typing import Any

import pytest

from detectors.suppress.gate import DAY_MS, Gate
from detectors.suppress.policy import Policy, Suppression
from detectors.suppress.scope import Scope
from sentinel.settings import Settings
from streams.correlate import CorrelateStage, CorrelateTask
from streams.policy.budgets import settle

PARTITIONS = 2
WHOLE = Scope()
COUNTS = 'SELECT "partition", count FROM budget_counts WHERE tenant = $1 ORDER BY 1, 2'


@pytest.fixture
def now() -> int:
    return time.time_ns() // 1_000_000


def opened(
    gate: Gate, tenant: str, now: int, *idents: str, rule: str = "r", scope: Scope = WHOLE
) -> list[str]:
    """Return which of some new alerts a gate lets through of a budget of four a day."""
    alerts: list[dict[str, Any]] = [
        {"tenant": tenant, "id": ident, "kind": "rule", "rule_id": rule, "title": "R",
         "source": "s", "entity": "e", "techniques": [], "severity_id": 4, "first_seen": now,
         "last_seen": now, "events": [{"uid": bytes(16), "time": now, "arrived": now}],
         "status": "new", "count": 1}
        for ident in idents
    ]  # fmt: skip
    budget = Suppression(tenant=tenant, id="b", kind="budget", scope=scope, starts=0,
                         expires=1 << 50, per_day=4)  # fmt: skip
    found = gate.process(alerts, Policy([budget]))
    return [each["id"] for each in found if each["kind"] == "rule" and each["status"] == "new"]


async def test_what_one_worker_let_through_another_does_not_again(worker, tenant, now) -> None:
    here, there = Gate(PARTITIONS), Gate(PARTITIONS)
    assert opened(here, tenant, now, "a", "b") == ["a", "b"]
    await settle(worker, {0: here})
    await settle(worker, {1: there})
    assert opened(there, tenant, now, "c", "d", "e", "f") == ["c", "d"]
    await settle(worker, {1: there})
    await settle(worker, {0: here})
    assert opened(here, tenant, now, "g") == []
    assert opened(here, tenant, now, "a") == ["a"], "an amendment costs nothing"
    assert opened(here, tenant, now + DAY_MS, "h") == ["h"], "another day, another budget"


async def test_telling_again_and_replays_count_nothing_twice(worker, tenant, now) -> None:
    gate, there = Gate(PARTITIONS), Gate(PARTITIONS)
    opened(gate, tenant, now, "a")
    before = gate.snapshot()
    opened(gate, tenant, now, "b")
    for _ in range(2):
        await settle(worker, {0: gate, 1: there})
    again = Gate(PARTITIONS)
    again.restore(before)
    await settle(worker, {0: again})
    assert list(map(tuple, await worker.fetch(COUNTS, tenant))) == [(0, 2)], "never back"
    assert opened(again, tenant, now, "a", "b") == ["a", "b"], "as it was before the restart"
    await settle(worker, {0: again})
    assert list(map(tuple, await worker.fetch(COUNTS, tenant))) == [(0, 2)]


async def test_only_what_is_news_is_written(worker, tenant, now) -> None:
    gate = Gate(PARTITIONS)
    opened(gate, tenant, now - 3 * DAY_MS, "old")
    opened(gate, tenant, now, "a")
    written = "SELECT xmin::text, xmax::text, count FROM budget_counts WHERE tenant = $1"
    await settle(worker, {0: gate})
    (before,) = await worker.fetch(written, tenant)
    await settle(worker, {0: gate})
    assert await worker.fetch(written, tenant) == [before], "neither written nor locked again"
    opened(gate, tenant, now, "b")
    await settle(worker, {0: gate})
    assert [row["count"] for row in await worker.fetch(written, tenant)] == [2]


async def test_workers_settle_by_themselves(postgres, tenant, now) -> None:
    stages = [CorrelateStage(Settings(postgres=postgres), 1, PARTITIONS) for _ in range(2)]
    first, second = (stage.task("signals", place) for place, stage in enumerate(stages))
    assert isinstance(first, CorrelateTask)
    assert isinstance(second, CorrelateTask)
    assert opened(first._gate, tenant, now, "a", "b", "c", "d") == ["a", "b", "c", "d"]
    for stage in stages:
        await stage.open()
        await stage._reader.close()
    assert opened(second._gate, tenant, now, "e") == []


@pytest.mark.parametrize(
    "rule",
    ["a\x1fb", "nul\x00", "☃", "Übung \\x41\n", ""],
    ids=["separator", "nul", "beyond Latin", "escapes", "none"],
)
async def test_any_rule_id_has_its_count(worker, tenant, now, rule) -> None:
    gate, there = Gate(PARTITIONS), Gate(PARTITIONS)
    own = Scope(rules=("*",))
    opened(gate, tenant, now, "a", "b", rule=rule, scope=own)
    await settle(worker, {0: gate, 1: there})
    assert opened(there, tenant, now, "c", "d", "e", rule=rule, scope=own) == ["c", "d"]


async def test_without_budgets_nothing_is_told(worker, tenant, now) -> None:
    gate = Gate(PARTITIONS)
    await settle(worker, {0: gate})
    assert gate.counted() == {}
    assert await worker.fetch(COUNTS, tenant) == []
