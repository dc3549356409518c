"""A subscription: which alerts go where, when and how. The API checks it, streams obey it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Annotated, Any, Final, Literal
from uuid import UUID
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

SEVERITIES: Final = ("informational", "low", "medium", "high", "critical")
Severity = Literal["informational", "low", "medium", "high", "critical"]
#: Owner of the operator's subscriptions, which see every tenant.
OPERATOR: Final = "*"
Clock = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=r"^[^\x00]+$")]
Patterns = Annotated[list[Pattern], Field(max_length=100)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,62}$")]
Template = Annotated[str, StringConstraints(max_length=4096, pattern=r"^[^\x00]*$")]
#: Kinds that are only told to those who ask for them by kind: there are many of them.
ASKED_FOR: Final = "neural."
_STRICT: Final = ConfigDict(extra="forbid", frozen=True)


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("a time zone of the IANA database, such as Europe/Vienna")
    return name


Zone = Annotated[str, StringConstraints(max_length=64), AfterValidator(_zone)]


class Clause(BaseModel):
    """Alerts that fit every field given; of a list, one entry must fit.

    Entries are shell patterns (``*``, ``?``, ``[…]``); a technique takes in what is below it.
    """

    model_config = _STRICT
    tenants: Patterns = Field([], description="For subscriptions of the operator.")
    sources: Patterns = Field([], examples=[["cloudtrail", "azure_*"]])
    rules: Patterns = Field([], description="Ids of rules or models.")
    kinds: Patterns = Field([], description="Such as rule, model; neural.burst, neural.*.")
    severities: list[Severity] = Field([], max_length=5)
    min_severity: Severity | None = Field(None, description="This or worse.")
    techniques: Patterns = Field([], examples=[["T1098"]])
    entities: Patterns = Field([], examples=[["arn:aws:iam::*:root"]])

    def fits(self, alert: Mapping[str, Any]) -> bool:
        """Say whether an alert, as `streams.deliveries.payload` makes it, is one of these."""
        severity = alert["severity"]
        if self.severities and severity not in self.severities:
            return False
        if self.min_severity and rank(severity) < rank(self.min_severity):
            return False
        single = (
            (self.tenants, "tenant"),
            (self.sources, "source"),
            (self.rules, "rule_id"),
            (self.kinds, "kind"),
            (self.entities, "entity"),
        )
        return all(_any(alert[name], wanted) for wanted, name in single) and (
            not self.techniques or any(_below(t, self.techniques) for t in alert["techniques"])
        )


def rank(severity: str) -> int:
    """Return the place of a severity in `SEVERITIES`."""
    return SEVERITIES.index(severity)


def _any(value: str, patterns: Iterable[str]) -> bool:
    return not patterns or any(fnmatchcase(value, pattern) for pattern in patterns)


def _below(technique: str, patterns: Iterable[str]) -> bool:
    """Say whether a technique is one of `patterns`, or below it (T1098.001 of T1098)."""
    return _any(technique, patterns) or _any(technique.partition(".")[0], patterns)


class Digest(BaseModel):
    """Alerts are gathered and sent together, at these times."""

    model_config = _STRICT
    every: Literal["15m", "1h", "4h", "1d"] = "1h"
    at: Clock = Field("09:00", description="Of a daily digest.")
    timezone: Zone = "UTC"


class Quiet(BaseModel):
    """Hours in which nothing but what is urgent is sent; it follows when they end."""

    model_config = _STRICT
    start: Clock = Field(examples=["22:00"])
    end: Clock = Field(examples=["07:00"])
    weekdays: list[Annotated[int, Field(ge=1, le=7)]] = Field(
        [1, 2, 3, 4, 5, 6, 7], max_length=7, description="On which they start; 1 is Monday."
    )
    timezone: Zone = "UTC"


class Step(BaseModel):
    """Whom to tell when an alert is still new after a while."""

    model_config = _STRICT
    after_s: int = Field(ge=1, le=7 * 86_400, description="Seconds since the step before.")
    to: Name = Field(description="Name of another subscription of the same owner.")


class Options(BaseModel):
    """How alerts are sent."""

    model_config = _STRICT
    concurrency: int = Field(
        1, ge=1, le=16, description="Requests at a time; above 1 the order is that of each alert."
    )
    batch_size: int = Field(1, ge=1, le=500, description="Most alerts in one message.")
    batch_wait_s: float = Field(0, ge=0, le=3600, description="How long a batch may fill.")
    timeout_s: float = Field(15, ge=0.1, le=30, description="Longest time for one request.")
    amendments: bool = Field(True, description="Tell of alerts that grow, not only of new ones.")
    changes: bool = Field(True, description="Tell when somebody changes the status of an alert.")
    subject: Template = Field("", description="Of messages to people: `${severity}: ${title}`.")
    template: Template = Field("", description="Text of messages to people; see `docs`.")
    urgent: Severity | None = Field(
        "critical", description="From here on neither digests nor quiet hours hold back."
    )
    digest: Digest | None = None
    quiet: Quiet | None = None
    escalation: list[Step] = Field([], max_length=10)
    repeat: int = Field(0, ge=0, le=100, description="How often the escalation starts over.")


class Subscription(BaseModel):
    """One row of ``subscriptions``; `config` holds the secrets too, opened."""

    model_config = ConfigDict(frozen=True)
    tenant: str
    id: UUID
    name: str
    kind: str
    config: dict[str, Any]
    filter: list[Clause]
    options: Options
    created_at: datetime
    version: int
    enabled: bool = True

    def wants(self, alert: Mapping[str, Any]) -> bool:
        """Say whether it is to be told of an alert."""
        if self.tenant not in (OPERATOR, alert["tenant"]):
            return False
        if alert["kind"].startswith(ASKED_FOR):
            return any(clause.kinds and clause.fits(alert) for clause in self.filter)
        return not self.filter or any(clause.fits(alert) for clause in self.filter)


_PLACE: Final = re.compile(r"\$(?:\{([a-z_][a-z0-9_.]*)\}|\$)")


def fill(template: str, values: Mapping[str, Any]) -> str:
    """Replace ``${name}`` and ``${name.part}`` by their values, ``$$`` by a dollar.

    There is no logic in it, so that a template of one tenant costs others nothing. What is
    not there is left empty.

    >>> fill("${title} by ${explanation.who} for $$5", {"title": "A", "explanation": {"who": "B"}})
    'A by B for $5'
    """

    def value(match: re.Match[str]) -> str:
        if match[1] is None:
            return "$"
        found: Any = values
        for part in match[1].split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        return _text(found)

    return _PLACE.sub(value, template)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return str(value)
