"""How many alerts a quiet account gets: what `evaluate quiet` runs.

Ordinary events go through the whole pipeline (`streams.rehearsal`): all rules, models,
correlations, folding and risk, from an empty state, as a new install would. Alerts are counted by
their first event, apart for the learning time: until the models have seen `LEARN` events, alerts
say that they are cold.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from connectors._sources import sources
from detectors.score import COLD_HISTORY
from sentinel import topics
from sentinel.cli import _common, _offline
from sentinel.errors import SettingsError
from sentinel.reading import Reader
from sentinel.sample.company import PEOPLE, SERVICES, busy
from sentinel.sample.hour import simulate
from streams.policy.rule_sets import load_rules
from streams.rehearsal.backtest import Outcome, run
from streams.rehearsal.pipeline import Message

DAY_MS: Final = 86_400_000
#: Events that are the learning time.
LEARN: Final = COLD_HISTORY
#: A Monday; and what events of the simulation take until they arrive, s.
START: Final = 1_767_571_200
DELAY_S: Final = 60
#: Settings of rules and models were chosen on seeds below.
FIRST_SEED: Final = 1001
#: Sources that can be simulated.
SIMULATED: Final = ("cloudtrail", "auditd")


class Quiet:
    """The pipeline as workers have it, for one source after the other."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._connector = _offline.connector(source)
        self._settings = _common.settings()
        self._known = sources(self._settings)
        self._rules = load_rules(self._settings)

    def files(self, paths: Sequence[Path]) -> dict[str, Any]:
        """Count the alerts on logs of ordinary days."""
        reader = Reader([str(path) for path in paths], cut=self._connector.records)
        now = int(time.time() * 1000)
        found = self._measure([self._message(value, now) for _, value in reader])
        if not found["events"]:
            raise SettingsError(f"expected {self._source} events in {', '.join(reader.paths)}")
        return found

    def simulated(self, seed: int, days: float, a_day: float) -> dict[str, Any]:
        """Count the alerts on `days` of the sample's company, without attacks.

        Parameters
        ----------
        a_day
            Events a day, about; hosts (auditd) have as many as they have.

        Raises
        ------
        SettingsError
            There is no simulation of the source.
        """
        if self._source not in SIMULATED:
            raise SettingsError(
                f"expected DATA, or a --source among {', '.join(SIMULATED)} to simulate, "
                f"found {self._source!r}"
            )
        return self._measure(list(self._ordinary(seed, days, a_day))) | {"seed": seed}

    def _ordinary(self, seed: int, days: float, a_day: float) -> Iterator[Message]:
        usual = sum(busy(actor, minute) for actor in (*PEOPLE, *SERVICES) for minute in range(1440))
        for event in simulate(seed, START, days * 1440, a_day / usual, attacks=False):
            if event.source == self._source:
                yield self._message(event.raw, int(event.time + DELAY_S) * 1000)

    def _message(self, raw: bytes, arrived: int) -> Message:
        return Message(topics.raw(self._source), 0, raw, _offline.TENANT, arrived)

    def _measure(self, messages: Sequence[Message]) -> dict[str, Any]:
        return measured(run(messages, self._rules, self._known, self._settings))


def measured(outcome: Outcome) -> dict[str, Any]:
    """Return the figures of a run: alerts a day and in 5,000 events, while and after learning.

    A day is one of event time; ``alerts_a_day`` is None where all was learning time.
    """
    days = max((outcome.last - outcome.first) / DAY_MS, 1 / 24)
    learnt = min(LEARN * days / max(outcome.events, 1), days)
    after = outcome.first + learnt * DAY_MS
    late = [each for each in outcome.alerts.values() if each["first_seen"] >= after]
    by_day = Counter(int((each["first_seen"] - outcome.first) // DAY_MS) for each in late)
    early = len(outcome.alerts) - len(late)
    rest = days - learnt
    return {
        "events": outcome.events,
        "days": round(days, 2),
        "events_a_day": round(outcome.events / days),
        "learning_days": round(learnt, 2),
        "alerts": len(outcome.alerts),
        "alerts_a_day_learning": round(early / learnt, 2) if learnt else None,
        "alerts_a_day": round(len(late) / rest, 2) if rest > 0 else None,
        "alerts_in_5000_events": round(5000 * len(outcome.alerts) / max(outcome.events, 1), 2),
        "most_on_a_day": max(by_day.values(), default=0),
        "by": _by(late or list(outcome.alerts.values())),
    }


def _by(alerts: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return how many alerts each rule and model made, most first."""
    return dict(Counter(f"{each['kind']}: {each['title']}" for each in alerts).most_common())
