"""From "how rare" to a score, and from a score to a severity.

**Calibration.** An anomaly of 0 to 1 counts decades of rarity: ``log10(1 / p) / 5``, where
`p` is the probability of an event at least as unusual in the history of the same model:
1 in 100 is 0.4, 1 in 1,000 is 0.6, 1 in 10,000 is 0.8, 1 in 100,000 is 1. So with the
threshold 0.65 models alert on about one event in 1,800 whatever the data: 2.8 of the 5,000 a day
of a quiet account, which leaves rules room below five alerts a day. A model that has seen `n`
events cannot claim more than ``log10(n + 1) / 5``: a short history is quiet by itself. `p` is the
conformal p-value (Laxhammar and Falkman 2014, "Online learning and sequential anomaly detection in
trajectories"). A plain quantile would not do: 40 % of all events are "rarer than 60 %".

**Score** = anomaly · event multiplier · intelligence factor, capped at 1. Indicators of compromise
raise what is odd anyway; by themselves they are rules' business (``intel.*``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.enrich.networks import packed_address
from schemas.batch import EventBatch
from schemas.columns.compiled import kernel

#: Decades of rarity that make a score of 1.
DECADES = 5.0
#: Scores needed to tell 1 in 10,000 (score 0.8) apart; until then alerts say `cold_start`.
COLD_HISTORY = 10_000

CRITICAL, HIGH, MEDIUM, LOW, INFORMATIONAL = 5, 4, 3, 2, 1
#: Lowest score of each OCSF severity (design section 4).
BANDS = ((0.8, CRITICAL), (0.6, HIGH), (0.4, MEDIUM), (0.0, LOW))
#: Score of a rule hit by the severity its author gave it: the middle of the band, so
#: that `severity` gives the author's own back. Informational has a quarter of "low".
RULE_SCORES = {CRITICAL: 0.9, HIGH: 0.7, MEDIUM: 0.5, LOW: 0.3, INFORMATIONAL: 0.1}

#: OCSF status "failure"; of findings the same number says "in progress".
FAILURE = 2
#: OCSF category of findings: the thousands of their classes.
FINDINGS = 2
#: A refused or failed action: probing shows as failures long before it succeeds.
FAILURE_MULTIPLIER = 1.15
#: What the action touches, by OCSF class: changes of who may do what weigh more.
CLASS_MULTIPLIERS = {
    3001: 1.25,  # Account Change
    3005: 1.25,  # User Access Management
    3006: 1.25,  # Group Management
    3002: 1.10,  # Authentication
    3003: 1.10,  # Authorize Session
}
#: OCSF class "API Activity" and its activity "Read", the bulk of any audit log.
API_ACTIVITY, READ = 6003, 2
READ_MULTIPLIER = 0.9
#: The source itself calls the event high (4), critical (5) or fatal (6).
SEVERITY_MULTIPLIERS = {4: 1.1, 5: 1.2, 6: 1.2}
#: The product of all the above stays within these.
LOWEST, HIGHEST = 0.5, 1.5
#: What an indicator of full confidence adds to the intelligence factor, which is 1 without any.
INTELLIGENCE = 0.5
#: No event's score is raised by more.
MOST = HIGHEST * (1 + INTELLIGENCE)
_CLASSES = np.array(list(CLASS_MULTIPLIERS), np.int64)
_CLASS_FACTORS = np.array(list(CLASS_MULTIPLIERS.values()))
_SEVERITIES = np.array(list(SEVERITY_MULTIPLIERS), np.int64)
_SEVERITY_FACTORS = np.array(list(SEVERITY_MULTIPLIERS.values()))


def severity(score: float) -> int:
    """Return the OCSF severity of a score.

    >>> [severity(s) for s in (0.8, 0.79, 0.6, 0.4, 0.0)]
    [5, 4, 4, 3, 2]
    """
    return next(level for lowest, level in BANDS if score >= lowest)


def rule_score(severity_id: int) -> float:
    """Return the score of a hit of a rule whose author gave it `severity_id` (OCSF)."""
    return RULE_SCORES[min(max(severity_id, INFORMATIONAL), CRITICAL)]


def multipliers(batch: EventBatch, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return float64[len(rows)]: how much its nature and indicators change an event's score."""
    columns = (batch.class_uid, batch.severity_id, batch.status_id, batch.activity_id)
    kind, severe, status, activity = (
        column.take(rows).astype(np.int32, copy=False) for column in columns
    )
    out = np.empty(len(rows))
    _multipliers(
        *(kind, severe, status, activity),
        *(_CLASSES, _CLASS_FACTORS, _SEVERITIES, _SEVERITY_FACTORS, out),
    )
    return out if batch.weight is None else out * (1 + INTELLIGENCE * batch.weight[rows])


@kernel(
    "void(int32[::1], int32[::1], int32[::1], int32[::1], int64[::1], float64[::1], int64[::1], "
    "float64[::1], float64[::1])"
)
def _multipliers(
    class_uid: Any,
    severity_id: Any,
    status_id: Any,
    activity_id: Any,
    classes: Any,
    class_factors: Any,
    severities: Any,
    severity_factors: Any,
    out: Any,
) -> Any:
    """Fill the factor of each event."""
    for i in range(len(out)):
        factor = 1.0
        for place in range(len(classes)):
            if class_uid[i] == classes[place]:
                factor = class_factors[place]
        for place in range(len(severities)):
            if severity_id[i] == severities[place]:
                factor *= severity_factors[place]
        if status_id[i] == FAILURE and class_uid[i] // 1000 != FINDINGS:
            factor *= FAILURE_MULTIPLIER
        if class_uid[i] == API_ACTIVITY and activity_id[i] == READ:
            factor *= READ_MULTIPLIER
        out[i] = min(max(factor, LOWEST), HIGHEST)


def intelligence(batch: EventBatch, row: int) -> dict[str, str]:
    """Return what an explanation says of indicators; nothing where there are none.

    It names the addresses that were looked up, source and actor, as the event spells them.
    """
    if batch.weight is None or not (weight := float(batch.weight[row])):
        return {}
    spelled = dict.fromkeys((batch.src_ip.at(row), batch.entity.at(row)))
    values = " or ".join(value for value in spelled if packed_address(value) is not None)
    factor = 1 + INTELLIGENCE * weight
    told = f"{values}: indicators of weight {weight:.2f} raise the score by {factor:.2f}"
    return {"intelligence": told}


def combine(anomaly: NDArray[np.float64], multiplier: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return anomaly · multiplier, within 0 to 1; what is not a number is 0."""
    # fmax and fmin pass over NaN
    return np.fmin(np.fmax(anomaly * multiplier, 0.0), 1.0)
