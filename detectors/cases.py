"""The cases of a rule: events that it must match and events that it nearly matches.

A rule ``<rules>/aws/discovery/x.yml`` has its cases in ``<cases>/aws/discovery/x.yml``: a
list of ``{name, match, event}``, or ``{name, match, raw}`` with the text of a log whose
events take several lines. Every rule has at least one of each kind.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import orjson
import yaml

from detectors.engine.condition import Rule
from sentinel.errors import RuleError


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One case.

    Attributes
    ----------
    name
        What happens in it.
    match
        Whether the rule has to match any of its events.
    event, raw
        The event as a JSON object, or as text in the source's own format: one of them.
    """

    name: str
    match: bool
    event: dict[str, Any] | None = None
    raw: str | None = None

    @property
    def data(self) -> bytes:
        """The case as it would arrive in a message of the source's topic."""
        return self.raw.encode() if self.raw is not None else orjson.dumps(self.event)


def case_file(rule: Rule, rules: Path, cases: Path) -> Path:
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
        if (case.event is None) == (case.raw is None):
            raise RuleError(f"{file}: {case.name}: expected `event` or `raw`, one of them")
    if {case.match for case in cases} != {True, False}:
        raise RuleError(f"{file}: expected an event that matches and one that nearly does")
    return cases
