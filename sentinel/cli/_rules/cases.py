"""The cases beside rules: one event for a rule, a sequence of them for a correlation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import connectors
from connectors.base import Connector
from detectors.cases import START_MS, Case, Sent, case_file, load_cases
from detectors.correlation.offline import Offline
from detectors.correlation.plan import Plan
from detectors.correlation.rules import Correlation
from detectors.enrich.enricher import Enricher
from detectors.sigma import Rule, RuleSet
from sentinel.errors import RecordError, RuleError
from sentinel.registry import discover
from streams.normalizer import Normalizer, Units
from streams.policy.known import asks

REFUSED = "the source refuses the event"
#: How many problems of one case are told.
TOLD = 3


class Outcome(NamedTuple):
    """What became of a case; `problem` is empty where it went as it should."""

    rule: str
    case: str
    problem: str


def run_cases(rules: Path, cases: Path) -> Iterator[Outcome]:
    """Run the cases of every rule below `rules` through the source's own connector."""
    ruleset = RuleSet.load([rules])
    for each in ruleset.unsupported:
        yield Outcome(each.path, "", each.reason)
    found = discover(connectors, Connector)  # type: ignore[type-abstract]
    named = {name: connector() for name, connector in found.items()}
    yield from _correlated(ruleset, named, rules, cases)
    together = {each.path for each in ruleset.plan.correlations}
    for rule in ruleset.rules:
        if rule.path in together:
            continue
        name = str(Path(rule.path).relative_to(rules))
        try:
            loaded = load_cases(case_file(rule, rules, cases))
            bench = _Bench(rule, named)
        except RuleError as error:
            yield Outcome(name, "", str(error))
            continue
        for case in loaded:
            yield Outcome(name, case.name, bench.problem(case))


class _Bench:
    """One rule, and every source that it is for."""

    def __init__(self, rule: Rule, sources: Mapping[str, Connector]) -> None:
        self._ways: list[_Way | _KnowingWay] = [
            (_KnowingWay(name, source, rule) if asks(rule.fields) else _Way(source, selected))
            for name, source in sources.items()
            if (selected := RuleSet([rule]).select(source.logsources)).rules
        ]
        if not self._ways:
            raise RuleError(f"no source has events of the log source {'/'.join(rule.logsource)}")

    def problem(self, case: Case) -> str:
        """Run a case; return what is wrong, or "".

        A case does not say of which source its event is: one that should match has to in one
        of them; one that should not must not in any.
        """
        found = [way.problem(case) for way in self._ways]
        if case.match:
            return "" if "" in found else found[0]
        taken = [problem for problem in found if not problem.startswith(REFUSED)]
        return next(filter(None, taken), "") if taken else found[0]


class _Way:
    """A rule, and the decoder of one source that it is for."""

    def __init__(self, source: Connector, selected: RuleSet) -> None:
        self.source = source
        self.decoder = source.decoder(selected.rules[0].fields)
        self.matcher = selected.reading(self.decoder)

    def problem(self, case: Case) -> str:
        """Run a case; return what is wrong, or ""."""
        try:
            events = [self.decoder.decode(raw) for raw in _events(self.source, case.data)]
        except RecordError as error:
            return f"{REFUSED}: {error.detail}"
        matched = bool(self.matcher.match(events))
        for _, _, failure in self.matcher.errors:
            return f"the rule failed: {type(failure).__name__}: {failure}"
        return _verdict(case, matched)


class _KnowingWay:
    """A rule on look-ups and one source that it is for: what a case knows is looked up."""

    def __init__(self, name: str, source: Connector, rule: Rule) -> None:
        self._name, self._source = name, source
        self._enricher = Enricher()
        self._normalizer = Normalizer(
            name, source, RuleSet([rule]), 1, enricher=lambda: self._enricher
        )

    def problem(self, case: Case) -> str:
        """Run a case; return what is wrong, or ""."""
        self._enricher.swap(case.tables)
        units = Units()
        try:
            for part, raw in enumerate(_events(self._source, case.data)):
                units.add(raw, "default", 0, part, 0, START_MS)
        except RecordError as error:
            return f"{REFUSED}: {error.detail}"
        batches, bad = self._normalizer.normalize(units, (f"raw.{self._name}", 0), 0, 0)
        if bad:
            return f"{REFUSED}: {bad[0][1].detail}"
        return _verdict(case, any(batch.hits for _, batch in batches))


def _verdict(case: Case, matched: bool) -> str:
    if matched == case.match:
        return ""
    return "expected a match, found none" if case.match else "expected no match, found one"


def _events(source: Connector, data: bytes) -> list[bytes]:
    """Return the events of a message, as the normalize stage would cut them."""
    units = list(source.split(data))
    assembler = source.assembler()
    return units if assembler is None else [*assembler.feed(units, 0), *assembler.flush()]


def _correlated(
    ruleset: RuleSet, sources: Mapping[str, Connector], rules: Path, cases: Path
) -> Iterator[Outcome]:
    """Run the cases of every file with correlations."""
    found = sorted(ruleset.plan.correlations, key=lambda each: each.path)
    for path, correlations in groupby(found, key=lambda each: each.path):
        name = str(Path(path).relative_to(rules))
        mine = list(correlations)
        try:
            loaded = load_cases(case_file(mine[0], rules, cases))
            bench = _Sequences(ruleset, mine, sources)
        except RuleError as error:
            yield Outcome(name, "", str(error))
            continue
        for case in loaded:
            yield Outcome(name, case.name, bench.problem(case))
        if idle := bench.idle():
            reason = f"no case that matches has events of {', '.join(idle)}"
            yield Outcome(name, "every rule that it names", reason)


class _Sequences:
    """The correlations of one file, the rules that they name, and the sources of these."""

    def __init__(
        self, ruleset: RuleSet, mine: Sequence[Correlation], sources: Mapping[str, Connector]
    ) -> None:
        self._plan = Plan(ruleset.rules, _with_named(mine, ruleset.plan.correlations))
        self._roots = {each.id for each in mine} & self._plan.trees.keys()
        wanted = {rule for root in self._roots for rule in self._plan.rules_of(root)}
        chosen = RuleSet([rule for rule in ruleset.rules if rule.id in wanted], (), self._plan)
        self._titles = {rule.id: rule.title for rule in chosen.rules}
        self._matched: set[str] = set()
        self._sources = sources
        self._enricher = Enricher()
        self._normalizers = {
            name: Normalizer(name, source, chosen, 1, enricher=lambda: self._enricher)
            for name, source in sources.items()
            if chosen.select(source.logsources).rules
        }
        if not self._normalizers:
            raise RuleError("no source has events of the log sources of the rules that it names")

    def idle(self) -> list[str]:
        """Return the titles of rules that no case made a match of."""
        return [title for rule, title in self._titles.items() if rule not in self._matched]

    def problem(self, case: Case) -> str:
        """Run a case; return what is wrong, or ""."""
        offline, problems = Offline(self._plan), list[str]()
        self._enricher.swap(case.tables)
        for place, sent in enumerate(case.sequence):
            problems += self._send(offline, place, sent, note=case.match)
        alerts = [alert for alert in offline.close() if alert["rule_id"] in self._roots]
        if problems:
            return "; ".join(problems[:TOLD])
        if bool(alerts) == case.match:
            return ""
        return "expected an alert, found none" if case.match else "expected no alert, found one"

    def _send(self, offline: Offline, place: int, sent: Sent, *, note: bool) -> Iterator[str]:
        """Send one event on its way; yield what is wrong with it."""
        name = sent.source or next(iter(self._normalizers))
        normalizer = self._normalizers.get(name)
        if normalizer is None:
            yield f"event {place + 1}: none of the rules is for the source {name!r}"
            return
        units = Units()
        for part, raw in enumerate(_events(self._sources[name], sent.data)):
            units.add(raw, "default", place, part, 2 * place, START_MS + sent.at_ms)
        batches, bad = normalizer.normalize(units, (f"raw.{name}", 0), 2 * place, 2 * place)
        for _, error in bad:
            yield f"event {place + 1}: the source refuses it: {error.detail}"
        for _, batch in batches:
            if note and batch.joins is not None:
                self._matched |= {member.rule for member in batch.joins.members}
            offline.add(batch)


def _with_named(mine: Sequence[Correlation], known: Sequence[Correlation]) -> list[Correlation]:
    """Return correlations with those that they name, at any depth."""
    found = {each.id: each for each in mine}
    waiting = list(mine)
    while waiting:
        names = set(waiting.pop().rules)
        for each in known:
            if each.id not in found and names & {each.id, each.name}:
                found[each.id] = each
                waiting.append(each)
    return list(found.values())
