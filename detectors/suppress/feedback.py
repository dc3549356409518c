"""What follows from what people said alerts turned out to be: thresholds, and proposals.

**Models.** An alert of a model is a guess that the event was worth a look. Where `LEAST` guesses
of one tenant's source have been judged, the odds of wrong to right ones are added to the decades
that the model's events need there::

    threshold + log10((wrong + 1) / (right + 1)) / DECADES

A model that was wrong nine times out of ten must find events about ten times as rare; with the
calibrated ensemble (`detectors.scoring.ensemble`) that is a tenth of its alerts. It never rises
above the lowest score of an alert that was right, so what was found once is found again, and
never falls below the installation's. Wrong are ``false_positive`` and ``benign``.

**Rules** say exactly what they say, so nothing happens to them by itself. A rule whose alerts on
one entity were wrong `REPEATED` times and never right is proposed to be suppressed there; one
that was wrong on `MANY` alerts of several entities and never right is proposed to go on trial.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from detectors.score import DECADES

RIGHT = "true_positive"
WRONG = frozenset({"false_positive", "benign"})
#: Judged alerts from which a model's threshold follows them.
LEAST = 5
#: Wrong alerts of a rule on an entity, and of a rule at all, from which something is proposed.
REPEATED, MANY = 3, 10
#: Entities from which on it is the rule and not the entity.
SEVERAL = 3
#: Highest threshold that is learnt; 1 is one event in 100,000.
HIGHEST = 0.95
#: Days that a judgement counts.
DAYS = 90


class Judged(NamedTuple):
    """An alert and what it turned out to be."""

    rule_id: str
    source: str
    entity: str
    title: str
    disposition: str
    score: float


class Proposal(NamedTuple):
    """What somebody might do, and why.

    Attributes
    ----------
    action
        ``suppress`` it on the entity, or put the rule on trial (``stage``).
    entity
        Empty where it is about the rule at all.
    wrong
        Alerts that were wrong; none was right.
    """

    action: str
    rule_id: str
    title: str
    source: str
    entity: str
    wrong: int


def threshold(judged: Iterable[Judged], base: float) -> float:
    """Return the threshold of a model whose alerts were judged.

    Parameters
    ----------
    judged
        Alerts of one model and source of a tenant.
    base
        The installation's threshold, 0 to 1.

    Examples
    --------
    >>> wrong = Judged("model.x", "cloudtrail", "ada", "", "benign", 0.62)
    >>> right = wrong._replace(disposition="true_positive", score=0.7)
    >>> threshold([wrong] * 9, 0.6), threshold([wrong] * 9 + [right], 0.6), threshold([wrong], 0.6)
    (0.8, 0.7, 0.6)
    """
    known = [each for each in judged if each.disposition == RIGHT or each.disposition in WRONG]
    right = [each.score for each in known if each.disposition == RIGHT]
    if len(known) < LEAST:
        return base
    odds = (len(known) - len(right) + 1) / (len(right) + 1)
    wanted = min([base + math.log10(odds) / DECADES, HIGHEST, *right])
    return max(math.floor(wanted * 1000 + 1e-6) / 1000, base)


def proposals(judged: Sequence[Judged]) -> list[Proposal]:
    """Return what to do about rules and models that were only ever wrong, most alerts first."""
    by_rule: dict[tuple[str, str], list[Judged]] = defaultdict(list)
    for each in judged:
        by_rule[each.rule_id, each.source].append(each)
    found = []
    for alerts in by_rule.values():
        found += _about_rule(alerts)
    return sorted(found, key=lambda each: (-each.wrong, each.rule_id, each.entity))


def _about_rule(alerts: Sequence[Judged]) -> list[Proposal]:
    """Return what to do about one rule: to it, or where it is wrong again and again."""
    by_entity: dict[str, list[Judged]] = defaultdict(list)
    for each in alerts:
        by_entity[each.entity].append(each)
    wrong = sum(each.disposition in WRONG for each in alerts)
    never_right = all(each.disposition != RIGHT for each in alerts)
    is_model = alerts[0].rule_id.startswith("model.")  # has a threshold that follows
    if wrong >= MANY and never_right and len(by_entity) >= SEVERAL and not is_model:
        return [_proposal("stage", alerts[0], "", wrong)]
    found = []
    for entity, mine in by_entity.items():
        bad = sum(each.disposition in WRONG for each in mine)
        if bad >= REPEATED and all(each.disposition != RIGHT for each in mine):
            found.append(_proposal("suppress", mine[0], entity, bad))
    return found


def _proposal(action: str, like: Judged, entity: str, wrong: int) -> Proposal:
    return Proposal(action, like.rule_id, like.title, like.source, entity, wrong)
