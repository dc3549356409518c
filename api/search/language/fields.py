"""The fields that can be searched for: their names, kinds, and where each store has them."""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType
from typing import NamedTuple

#: By the number that OCSF gives a severity.
SEVERITY_IDS = MappingProxyType(
    {
        **{"unknown": 0, "informational": 1, "low": 2, "medium": 3, "high": 4},
        **{"critical": 5, "fatal": 6, "other": 99},
    }
)
STATUSES = (
    *("new", "triaged", "in_progress", "resolved", "false_positive"),
    *("suppressed", "staged"),
)
DISPOSITIONS = ("true_positive", "benign", "false_positive", "undetermined")
#: How a path into what the source wrote begins.
RAW = "raw."


class Kind(Enum):
    """What values a field has, in the words of a message to a person."""

    KEYWORD = "a text"
    TAGS = "texts"
    TECHNIQUE = "ATT&CK techniques"
    CHOICE = "one of several words"
    WORDS = "words"
    SEVERITY = "a severity"
    TIME = "a time"
    INTEGER = "a whole number"
    REAL = "a number"
    ADDRESS = "an address"
    ID = "an id"
    RAW = "a field of the source"


#: Kinds whose values have an order.
ORDERED = frozenset({Kind.SEVERITY, Kind.TIME, Kind.INTEGER, Kind.REAL})


class Field(NamedTuple):
    """One field.

    Attributes
    ----------
    name
        As people write it.
    kind
        What it holds.
    column
        SQL of its value; ``{…}`` is never part of it.
    document
        Its name in the documents of Elasticsearch; empty where it changes after an alert was
        made, and PostgreSQL alone knows it.
    choices
        Values there are, of a CHOICE.
    """

    name: str
    kind: Kind
    column: str
    document: str = ""
    choices: tuple[str, ...] = ()


def _named(*fields: Field, **aliases: str) -> dict[str, Field]:
    found = {field.name: field for field in fields}
    return found | {alias: found[name] for alias, name in aliases.items()}


class Subject(NamedTuple):
    """What can be searched: a table, its fields by name, and the field of all its words.

    `open` says that ``raw.…`` leads into what the source wrote.
    """

    name: str
    fields: dict[str, Field]
    text: Field
    open: bool = False

    def field(self, name: str) -> Field | None:
        """Return the field of that name, None where there is none."""
        if self.open and name.startswith(RAW) and all(name.split(".")):
            path = name.removeprefix(RAW)
            return Field(name, Kind.RAW, path, f"{RAW}{path}")
        return self.fields.get(name)


ALERTS = Subject(
    "alerts",
    _named(
        Field("id", Kind.ID, "a.id", "id"),
        Field("time", Kind.TIME, "a.first_seen", "first_seen"),
        Field("last_seen", Kind.TIME, "a.last_seen", "last_seen"),
        Field("tenant", Kind.KEYWORD, "a.tenant", "tenant"),
        Field("source", Kind.KEYWORD, "a.source", "source"),
        Field("kind", Kind.KEYWORD, "a.kind", "kind"),
        Field("rule", Kind.KEYWORD, "a.rule_id", "rule_id"),
        Field("title", Kind.WORDS, "to_jsonb(a.title)", "title_words"),
        Field("entity", Kind.KEYWORD, "a.entity", "entity"),
        Field("user", Kind.WORDS, "to_jsonb(a.entity)", "entity_words"),
        Field("technique", Kind.TECHNIQUE, "a.techniques", "techniques"),
        Field("severity", Kind.SEVERITY, "a.severity_id", "severity_id"),
        Field("score", Kind.REAL, "a.score", "score"),
        Field("count", Kind.INTEGER, "a.count", "count"),
        Field("status", Kind.CHOICE, "a.status", choices=STATUSES),
        Field("disposition", Kind.CHOICE, "a.disposition", choices=DISPOSITIONS),
        Field("assignee", Kind.KEYWORD, "a.assignee"),
        first_seen="time",
        rule_id="rule",
        techniques="technique",
        who="user",
    ),
    Field(
        "",
        Kind.WORDS,
        "jsonb_build_array(a.title, a.rule_id, a.entity, a.techniques, a.explanation)",
        "words",
    ),
)
EVENTS = Subject(
    "events",
    _named(
        Field("uid", Kind.ID, "uid", "uid"),
        Field("time", Kind.TIME, "time", "time"),
        Field("arrived", Kind.TIME, "arrived", "arrived"),
        Field("tenant", Kind.KEYWORD, "tenant", "tenant"),
        Field("source", Kind.KEYWORD, "source", "source"),
        Field("entity", Kind.KEYWORD, "entity", "entity"),
        Field("user", Kind.WORDS, "to_jsonb(entity)", "entity_words"),
        Field("operation", Kind.KEYWORD, "operation", "operation"),
        Field("service", Kind.KEYWORD, "service", "service"),
        Field("src_ip", Kind.ADDRESS, "src_ip", "src_ip"),
        Field("class", Kind.INTEGER, "class_uid", "class_uid"),
        Field("activity", Kind.INTEGER, "activity_id", "activity_id"),
        Field("result", Kind.INTEGER, "status_id", "status_id"),
        Field("severity", Kind.SEVERITY, "severity_id", "severity_id"),
        id="uid",
        who="user",
        ip="src_ip",
        class_uid="class",
        activity_id="activity",
        status_id="result",
    ),
    Field("", Kind.WORDS, "public.event_json(raw, ocsf)", "words"),
    open=True,
)
