"""Can a rule fire here? From the log sources of the connectors and the fields of their events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import connectors
from connectors._golden import PLACE, cases
from connectors.base import Connector
from detectors.fields import alternatives
from detectors.sigma import Rule, RuleSet
from sentinel.errors import RecordError
from sentinel.registry import discover
from streams.policy.known import is_known

#: Our own samples of every source, in a checkout.
GOLDEN = Path(connectors.__path__[0]).parent / PLACE


#: Returns events of a source to judge by, as the source writes them; none where there is none.
Samples = Callable[[str, Connector], Sequence[bytes]]


class Doubt(NamedTuple):
    """Why a rule may never fire."""

    path: str
    line: int
    rule_id: str
    reason: str


def ours(name: str, source: Connector) -> list[bytes]:
    """Return our own samples of a source."""
    found: list[bytes] = []
    for raw, _ in cases(GOLDEN, name):
        try:
            units = list(source.split(raw.read_bytes()))
            assembler = source.assembler()
            found += units if assembler is None else [*assembler.feed(units, 0), *assembler.flush()]
        except RecordError:
            continue  # a sample of what is refused
    return found


def doubts(rules: Iterable[Rule], samples: Samples = ours, span: str = "") -> Iterator[Doubt]:
    """Yield each rule that cannot fire here, as far as can be told by `samples`.

    That is one whose log source no connector has, or all of whose alternatives look at a
    field that none of the samples of these sources has. The second is a guess: samples show
    the usual fields, not every one. It is not made of what is inside an object that samples
    have: that is another one with every operation.

    Parameters
    ----------
    rules
        To judge.
    samples
        Events to judge by.
    span
        Where they are real events: of what time, in words. A source without any is then a
        reason by itself; else it says nothing.
    """
    found = discover(connectors, Connector)  # type: ignore[type-abstract]
    sources = {name: connector() for name, connector in found.items()}
    chosen = {
        name: {rule.id: rule for rule in RuleSet(rules).select(source.logsources).rules}
        for name, source in sources.items()
    }
    known = {
        name: _fields(source, chosen[name].values(), samples(name, source))
        for name, source in sources.items()
        if chosen[name]
    }
    for rule in rules:
        reason = _reason(rule, chosen, known, span)
        if reason:
            yield Doubt(rule.path, _line(rule, reason), rule.id, "; ".join(reason))


def _reason(
    rule: Rule,
    chosen: Mapping[str, Mapping[str, Rule]],
    known: Mapping[str, frozenset[str] | None],
    span: str,
) -> list[str]:
    """Return why a rule cannot fire, in parts; nothing where it can."""
    sources = [name for name, rules in chosen.items() if rule.id in rules]
    if not sources:
        wanted = ", ".join(
            f"{key} {value}" for key, value in rule.logsource._asdict().items() if value
        )
        return [f"no source has events of the log source {wanted or '(none stated)'}"]
    parts = []
    for name in sources:
        if span and known[name] is None:
            parts.append(f"no event of {name} in {span}")
            continue
        lacking = _lacking(chosen[name][rule.id], known[name])
        if not lacking:
            return []
        what = f"event of {name} in {span}" if span else f"sample of {name}"
        parts.append(f"no {what} has {', '.join(lacking)}")
    return parts


def _lacking(rule: Rule, known: frozenset[str] | None) -> list[str]:
    """Return fields that keep a rule from matching in any way; none where it can in one."""
    if known is None:
        return []
    lacking: dict[str, None] = {}
    for fields in alternatives(rule):
        missing = sorted(fields - known)
        if not missing:
            return []
        lacking |= dict.fromkeys(missing)
    return list(lacking)


def _fields(
    source: Connector, rules: Iterable[Rule], samples: Iterable[bytes]
) -> frozenset[str] | None:
    """Return which of the fields of rules any sample has; None where there is no sample."""
    wanted = frozenset[str]().union(*(rule.fields for rule in rules))
    decoder = source.decoder(wanted)
    events = []
    for raw in samples:
        try:
            events.append(decoder.decode(raw))
        except RecordError:
            continue  # a sample of what is refused
    if not events:
        return None
    getters = {name: decoder.getter(name) for name in wanted}
    seen: frozenset[str] = getattr(decoder, "seen", None) or frozenset()
    return frozenset(
        name
        for name, get in getters.items()
        if ("." in name and name.partition(".")[0] in seen)
        or any(get(event) is not None for event in events)
        or is_known(name)  # of look-ups, whatever the source
    )


def _line(rule: Rule, reason: list[str]) -> int:
    """Return the line of the rule's file that a reason is about: its field's, or log source's."""
    field = reason[0].rpartition(" has ")[2].partition(",")[0].rpartition(".")[2]
    word = field if " has " in reason[0] and "log source" not in reason[0] else "logsource:"
    try:
        lines = Path(rule.path).read_text(errors="replace").splitlines()
    except OSError:
        return 1
    return next((number for number, line in enumerate(lines, 1) if word in line), 1)
