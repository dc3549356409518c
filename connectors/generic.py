"""Any JSON with a time: for logs that nobody has written a mapping for yet.

Takes JSON objects, arrays, JSON lines, and finds what most logs call alike: time, who, what,
from where, how bad. All of it becomes a Base Event; what has no place is in ``unmapped``, and
Sigma rules with ``logsource: {product: generic}`` see every field under its own name.

A source of one's own with a class of its own is a mapping file (`connectors._generic.mapping`)
in the directory ``SENTINEL_MAPPINGS``: ``portal.yml`` becomes the source ``portal``.
"""

from __future__ import annotations

from typing import ClassVar, Final

from connectors._generic.mapping import Mapped
from connectors._generic.source import MappedConnector
from schemas.ocsf import BASE_EVENT

_LEVELS: Final = {
    "1": {"trace", "debug", "info", "informational", "information", "notice", "normal"},
    "2": {"low", "minor"},
    "3": {"warn", "warning", "medium", "moderate"},
    "4": {"error", "err", "high", "major", "severe"},
    "5": {"critical", "crit", "alert", "page"},
    "6": {"fatal", "emergency", "emerg", "panic"},
}
_SEVERITY: Final = {
    spelling: int(number)
    for number, words in _LEVELS.items()
    for word in words
    for spelling in (word, word.upper(), word.capitalize())
}
_OUTCOMES: Final = {1: ("success", "ok", "true", "allowed"), 2: ("failure", "failed", "false")}
_STATUS: Final = {
    spelling: number
    for number, words in _OUTCOMES.items()
    for word in (*words, *(("error", "denied") if number == 2 else ("succeeded",)))
    for spelling in (word, word.upper(), word.capitalize())
}
MAPPING: Final = Mapped.model_validate(
    {
        "description": "Any JSON object that has a time.",
        "product": {"name": "Generic", "vendor_name": "Unknown"},
        "logsource": {"product": "generic"},
        "time": ["time", "timestamp", "@timestamp", "ts", "eventTime", "datetime", "date"],
        "id": ["id", "uuid", "event_id", "eventId"],
        "entity": ["user", "user.name", "username", "actor", "actor.name", "host", "hostname"],
        "operation": ["action", "event", "event_type", "eventType", "operation", "type"],
        "service": ["service", "app", "application", "program", "logger"],
        "src_ip": ["src_ip", "source_ip", "client_ip", "remote_addr", "ip"],
        "user_agent": ["user_agent", "userAgent"],
        "region": ["host", "hostname", "region"],
        "severity": {"field": ["severity", "level", "priority"], "map": _SEVERITY, "default": 1},
        "status": {"field": ["outcome", "result", "status"], "map": _STATUS, "default": 0},
        "classes": [{"class": BASE_EVENT, "activity": {"const": 99}}],
        "map": {"message": ["message", "msg", "log"]},
    }
)


class Generic(MappedConnector):
    """Any JSON object that has a time."""

    mapping: ClassVar[Mapped] = MAPPING
