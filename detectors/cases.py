"""The cases of a rule: events that it must match and events that it nearly matches.

A rule ``<rules>/aws/discovery/x.yml`` has its cases in ``<cases>/aws/discovery/x.yml``: a
list of ``{name, match, event}``, or ``{name, match, raw}`` with the text of a log whose
events take several lines. Every rule has at least one of each kind.

A correlation has sequences instead: ``{name, match, events}``, a list of
``{event or raw, at, repeat, every, source}``. ``at`` is when, after the first (``90s``, ``5m``);
``repeat`` how often, ``every`` so long; ``source`` the connector where the rules are for several.
In texts of events are replaced: ``{time}`` by the time in ISO 8601, ``{s}`` and ``{ms}`` by it in
seconds and milliseconds since the epoch (a number where there is nothing else), ``{n}`` by the
number of the repetition, ``{id}`` by a UUID of the event's own, ``{serial}`` by its number.

A case of a rule on look-ups says what they know, by address or name:
``known: {203.0.113.10: {confidence: 90}}``; see `Said`. Of all else nothing is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid5

import msgspec
import orjson
import yaml
from sigma.correlations import SigmaCorrelationTimespan
from sigma.exceptions import SigmaError

from detectors.correlation.rules import Correlation
from detectors.engine.condition import Rule
from detectors.enrich.attack import Attack
from detectors.enrich.benign import BenignList, BenignTable
from detectors.enrich.context import Context, Entry
from detectors.enrich.enricher import Tables
from detectors.enrich.geo import Geo
from detectors.enrich.indicators import IP, Indicator
from detectors.enrich.table import IndicatorTable
from sentinel.errors import RuleError

#: When the first event of a sequence is: 2026-03-02 09:00 UTC, a Monday.
START_MS = 1_772_442_000_000

_NAMESPACE = UUID("6a6f1a3c-8a2e-5d0b-9a3e-2f6b0c7d4e51")


class Sent(NamedTuple):
    """One event of a sequence: its source, "" if there is but one, when, and what arrives."""

    source: str
    at_ms: int
    data: bytes


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One event of a sequence, or several that are alike; see the module."""

    event: dict[str, Any] | None = None
    raw: str | None = None
    at: str = "0s"
    repeat: int = 1
    every: str = "1s"
    source: str = ""

    def written(self, at_ms: int, number: int, serial: int) -> bytes:
        """Return the event as it would arrive, with what stands for time and numbers filled in."""
        time = START_MS + at_ms
        words = {
            "{time}": datetime.fromtimestamp(time / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "{s}": time // 1000,
            "{ms}": time,
            "{n}": number,
            "{id}": str(uuid5(_NAMESPACE, str(serial))),
            "{serial}": 1000 + serial,
        }
        if self.raw is not None:
            return str(_filled(f" {self.raw}", words))[1:].encode()
        return orjson.dumps(_filled(self.event, words))


def _filled(value: Any, words: Mapping[str, Any]) -> Any:
    """Replace the words in all texts of a value; one that is nothing else keeps its type."""
    if isinstance(value, dict):
        return {key: _filled(item, words) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, words) for item in value]
    if not isinstance(value, str) or "{" not in value:
        return value
    if value in words:
        return words[value]
    for word, text in words.items():
        value = value.replace(word, str(text))
    return value


def _span(text: str) -> int:
    """Return a length of time such as ``90s`` in ms."""
    try:
        return 0 if text == "0s" else 1000 * SigmaCorrelationTimespan(text).seconds
    except SigmaError as error:
        raise RuleError(f"expected a time such as 90s, found {text!r}") from error


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What look-ups know of an address or name in a case; see `streams.policy.known`.

    Attributes
    ----------
    confidence, feed, labels
        Of the one indicator for it (addresses alone); None: there is none.
    benign
        Names of the benign lists that have it.
    owner, criticality, environment, tags
        Of the asset or identity that it is, where any is given.
    """

    confidence: int | None = None
    feed: str = "example"
    labels: tuple[str, ...] = ()
    benign: tuple[str, ...] = ()
    owner: str = ""
    criticality: str = ""
    environment: str = ""
    tags: tuple[str, ...] = ()


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One case.

    Attributes
    ----------
    name
        What happens in it.
    match
        Whether the rule has to match any of its events.
    event, raw, events
        The event as a JSON object, or as text in the source's own format, or a sequence: one.
    known
        What look-ups know, by address or name.
    """

    name: str
    match: bool
    event: dict[str, Any] | None = None
    raw: str | None = None
    events: list[Step] = []
    known: dict[str, Said] = {}

    @property
    def sequence(self) -> list[Sent]:
        """The events of a correlation, in the order of their times."""
        sent = list[Sent]()
        for step in self.events:
            for number in range(step.repeat):
                at_ms = _span(step.at) + number * _span(step.every)
                data = step.written(at_ms, number, len(sent))
                sent.append(Sent(step.source, at_ms, data))
        return sorted(sent, key=lambda each: each.at_ms)

    @property
    def tables(self) -> Tables:
        """What is looked up, of all that the case knows."""
        said = self.known.items()
        return Tables(
            Geo(),
            IndicatorTable(
                Indicator(IP, key, each.feed, each.confidence, labels=each.labels)
                for key, each in said
                if each.confidence is not None
            ),
            BenignTable(
                BenignList(name, "string", (key,)) for key, each in said for name in each.benign
            ),
            Context(
                Entry(key, "asset", "", each.owner, each.criticality, each.environment, each.tags)
                for key, each in said
                if each.owner or each.criticality or each.environment or each.tags
            ),
            Attack(),
        )

    @property
    def data(self) -> bytes:
        """The case as it would arrive in a message of the source's topic."""
        return self.raw.encode() if self.raw is not None else orjson.dumps(self.event)


def case_file(rule: Rule | Correlation, rules: Path, cases: Path) -> Path:
    """Return where the cases of a rule below `rules` are."""
    return cases / Path(rule.path).relative_to(rules)


def load_cases(file: Path) -> list[Case]:
    """Read the cases of one rule.

    Raises
    ------
    RuleError
        The file is missing or malformed, or it lacks an event that has to match or one
        that must not.
    """
    try:
        cases = msgspec.convert(yaml.safe_load(file.read_bytes()), list[Case])
    except OSError as error:
        raise RuleError(f"{file}: expected the cases of a rule: {error.strerror}") from error
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise RuleError(f"{file}: expected a list of cases: {error}") from error
    for case in cases:
        if [case.event is None, case.raw is None, not case.events].count(False) != 1:
            raise RuleError(
                f"{file}: {case.name}: expected `event` or `raw`, or the `events` of a correlation"
            )
        if any((step.event is None) == (step.raw is None) for step in case.events):
            raise RuleError(f"{file}: {case.name}: expected `event` or `raw` in each of its events")
    if {case.match for case in cases} != {True, False}:
        raise RuleError(f"{file}: expected an event that matches and one that nearly does")
    return cases
