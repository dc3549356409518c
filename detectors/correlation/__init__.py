"""Correlation: from matches and signals to alerts, with the state of one ``signals`` partition.

`fold`
    Hits of one rule or model on one entity fold into one alert, with a count.
`rules`, `plan`
    Sigma correlations as data, and how they and the rules that they name fit together.
`extract`
    In normalize: what a match contributes to which correlations.
`held`
    The events of each group, whether a condition holds for them, and what bounds them.
`arriving`, `joins`
    The engine: contributions in, alerts out.
`report`
    The alert of a correlation and its explanation.
`offline`
    All of it in one process, for tests, case files and backtests.
"""

from detectors.correlation.fold import (
    ALERT_NAMESPACE,
    MAX_OPEN,
    SHARDS,
    WINDOW_MS,
    Correlated,
    Correlator,
    alert_id,
    shard,
)

__all__ = [
    "ALERT_NAMESPACE",
    "MAX_OPEN",
    "SHARDS",
    "WINDOW_MS",
    "Correlated",
    "Correlator",
    "alert_id",
    "shard",
]
