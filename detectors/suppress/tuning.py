"""What a tenant has set of a rule or model: off, on trial, another severity or threshold.

Rows of kind ``tuning`` say it for the rules, correlations and models that their scope names. Of
several that say the same thing the tenant's own counts before one for every tenant, a person's
before one that was learnt (`detectors.suppress.feedback`), a later one before an earlier. They
hold by arrival, as suppressions do (`detectors.suppress`), so every worker and every replay
decides alike.

- A **rule** that is off is as if it had not matched: no alert, no risk, no part in correlations.
- A **model** that is off learns and is judged with the others, but an event in which it leads is
  not reported; `threshold` is the score that such an event needs instead of the installation's.
- A **correlation** or the **risk** of an entity that is off gives alerts that are suppressed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.engine.condition import Rule
from detectors.score import DECADES
from schemas.batch import EventBatch

if TYPE_CHECKING:
    from detectors.suppress.policy import Suppression

EVERYONE = "*"
#: Pairs of tenant and rule that are remembered; forgotten all at once when there are more.
MAX_KNOWN = 100_000


class Tuned(NamedTuple):
    """What holds for a rule or model; None where nothing is said.

    Attributes
    ----------
    disabled
        Whether it is off.
    by
        Id of the row that said so.
    staged
        Whether it is on trial.
    severity
        OCSF severity, 1 to 5.
    threshold
        Score of a model, 0 to 1.
    """

    disabled: bool | None = None
    by: str = ""
    staged: bool | None = None
    severity: int | None = None
    threshold: float | None = None


PLAIN = Tuned()


class Tunings:
    """All of them.

    Parameters
    ----------
    rows
        Rows of kind ``tuning``, in any order.
    """

    def __init__(self, rows: Iterable[Suppression] = ()) -> None:
        # what is said last counts: the tenant's own, by people, and the latest
        self._rows: dict[str, list[Suppression]] = defaultdict(list)
        for row in sorted(rows, key=lambda row: (not row.learned, row.starts, row.id)):
            self._rows[row.tenant].append(row)
        self._known: dict[tuple[str, str, str], list[Suppression]] = {}
        self._changed: dict[tuple[Rule, bool, int], Rule] = {}

    def __bool__(self) -> bool:
        return bool(self._rows)

    def of(self, tenant: str, rule_id: str, source: str, arrived: int) -> Tuned:
        """Return what holds for a rule or model of a tenant when something arrived, in ms."""
        found = PLAIN
        for row in self._about(tenant, rule_id, source):
            if row.live(arrived, ()):
                found = _said(found, row)
        return found

    def rule(self, rule: Rule, tenant: str, source: str, arrived: int) -> Rule | None:
        """Return a rule as the tenant has it, None where it is off."""
        said = self.of(tenant, rule.id, source, arrived)
        if said is PLAIN:
            return rule
        if said.disabled:
            return None
        staged = rule.staged if said.staged is None else said.staged
        severity = said.severity or rule.severity_id
        if (staged, severity) == (rule.staged, rule.severity_id):
            return rule
        key = (rule, staged, severity)
        if key not in self._changed:
            changed = msgspec.structs.replace(rule, staged=staged, severity_id=severity)
            self._changed[key] = changed
        return self._changed[key]

    def hits(self, hits: Sequence[tuple[int, Rule]], batch: EventBatch) -> list[tuple[int, Rule]]:
        """Return matches (row of the batch, rule) as the events' tenants have the rules."""
        found = []
        for row, rule in hits:
            arrived = int(batch.arrived[row])
            mine = self.rule(rule, batch.tenant.at(row), batch.source, arrived)
            if mine is not None:
                found.append((row, mine))
        return found

    def bars(
        self, tenant: str, source: str, models: Sequence[str], arrived: NDArray[np.int64]
    ) -> NDArray[np.float64] | None:
        """Return the decades that events need in which a model leads.

        Parameters
        ----------
        models
            Their ids.
        arrived
            int64[n]: when events arrived, ms since the epoch.

        Returns
        -------
        float64[models, n]
            NaN where nothing is said, infinite where the model is off; None: nothing at all.
        """
        if not any(self._about(tenant, model, source) for model in models):
            return None
        moments, place = np.unique(arrived, return_inverse=True)
        said = [
            [_bar(self.of(tenant, model, source, moment)) for moment in moments.tolist()]
            for model in models
        ]
        return np.array(said, np.float64)[:, place.reshape(-1)]

    def _about(self, tenant: str, rule_id: str, source: str) -> list[Suppression]:
        """Return the rows about a rule, those for everyone first."""
        key = (tenant, rule_id, source)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            about = {"rule_id": rule_id, "source": source}
            found = self._known[key] = [
                row
                for whose in (EVERYONE, tenant)
                for row in self._rows.get(whose, ())
                if row.scope.holds(about)
            ]
        return found


def _said(before: Tuned, row: Suppression) -> Tuned:
    """Return what holds after one more row."""
    return Tuned(
        before.disabled if row.disabled is None else row.disabled,
        before.by if row.disabled is None else row.id,
        before.staged if row.staged is None else row.staged,
        before.severity if row.severity is None else row.severity,
        before.threshold if row.threshold is None else row.threshold,
    )


def _bar(said: Tuned) -> float:
    if said.disabled:
        return np.inf
    return np.nan if said.threshold is None else said.threshold * DECADES
