"""What a disposition changes at once: the threshold of the tenant's model that was judged.

In the transaction of the disposition itself, so that there is neither without the other. What is
learnt is a tuning like one that a person made (`sentinel.suppressions`): all workers take it at
the same arrival time, `sentinel rules tuned` shows it, and whoever disagrees removes or
overrides it. How it follows from dispositions is said in `detectors.suppress.feedback`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from api.identity.audit import audit
from detectors.suppress.draft import draft
from detectors.suppress.feedback import DAYS, RIGHT, WRONG, Judged, threshold
from detectors.suppress.scope import Scope
from sentinel import suppressions

#: Whose doing it is, in lists and in the audit log.
OWNER = "sentinel:feedback"
#: Years are enough: it is replaced with the next disposition that changes it.
LIFE_MS = 3650 * 86_400_000
#: Least change of a threshold that is worth a new row.
STEP = 0.005


async def learn(connection: Any, alerts: Iterable[Mapping[str, Any]], base: float) -> None:
    """Let the thresholds of models follow dispositions, in the transaction that wrote these.

    Parameters
    ----------
    connection
        Holds the lock of the writers of alerts, so that of two that judge alerts of one model
        the second knows of the first.
    alerts
        Whose disposition changed: ``tenant``, ``rule_id``, ``source`` and ``kind``.
    base
        The installation's threshold, 0 to 1.
    """
    touched = {
        (row["tenant"], row["rule_id"], row["source"]) for row in alerts if row["kind"] == "model"
    }
    for tenant, rule, source in sorted(touched):
        await _follow(connection, tenant, rule, source, base)


async def _follow(connection: Any, tenant: str, rule: str, source: str, base: float) -> None:
    """Bring the learnt threshold of one model of a tenant's source up to date."""
    rows = await suppressions.judged(connection, DAYS, tenant, rule, source)
    judged = [judged_of(row) for row in rows]
    wanted = threshold(judged, base)
    before = await suppressions.learned(connection, tenant, rule, source)
    now = base if before is None else before["threshold"]
    if abs(wanted - now) < STEP:
        return
    if before is not None:
        await suppressions.remove(connection, UUID(before["id"]), OWNER, tenant)
    if wanted > base:
        await suppressions.add(connection, _tuning(tenant, rule, source, wanted, judged))
    detail = {"source": source, "threshold": {"from": now, "to": wanted}, "judged": len(judged)}
    await audit(connection, "model.learn", rule, detail, tenant=tenant)


def judged_of(row: Mapping[str, Any]) -> Judged:
    """Return a row of `suppressions.judged` as `detectors.suppress.feedback` takes it."""
    return Judged(**{name: row[name] for name in Judged._fields})


def _tuning(
    tenant: str, rule: str, source: str, wanted: float, judged: list[Judged]
) -> dict[str, Any]:
    right = sum(each.disposition == RIGHT for each in judged)
    wrong = sum(each.disposition in WRONG for each in judged)
    now = time.time_ns() // 1_000_000
    made = draft(
        "tuning",
        Scope(rules=(rule,), sources=(source,)),
        tenant=tenant,
        owner=OWNER,
        reason=f"{wrong} of {wrong + right} alerts that were judged in {DAYS} days were wrong",
        expires=now + LIFE_MS,
        now=now,
        tuning={"threshold": wanted},
    )
    return made | {"learned": True}
