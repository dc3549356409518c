"""Elastic's system module as the oracle of syslog: its expected ECS, field by field.

`TABLE` says where each ECS field is in our events. Fields that are left out are of Elastic's
pipeline alone: dataset, module, geography, and copies (``related.*``). `FLOOR` is the share
that agreed when this was written; what does not agree is not ours:

- ``process.name``: of launchd's children Elastic keeps ``launchd[1] (child[2])`` as a name.
- ``system.auth.sudo.command``: a trailing blank, which we do not keep.
- Two events are of 1986, before any time that is accepted here.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from connectors._syslog.frame import messages
from connectors.syslog import Syslog
from sentinel.errors import MappingError
from sentinel.settings import Settings

CONNECTOR = Syslog()
SYSTEM = Path(Settings().data) / "beats" / "system"


def at(*paths: str) -> Callable[[dict[str, Any]], Any]:
    """Return what gives the first value at one of `paths`."""

    def find(event: dict[str, Any]) -> Any:
        for path in paths:
            value: Any = event
            for name in path.split("."):
                if isinstance(value, list):
                    value = value[0] if value else None
                value = value.get(name) if isinstance(value, dict) else None
            if value is not None:
                return value
        return None

    return find


def left(name: str) -> Callable[[dict[str, Any]], Any]:
    """Return what gives a value that has no place in OCSF."""
    return lambda event: event.get("unmapped", {}).get(name)


def process_id(event: dict[str, Any]) -> Any:
    """Return the id of the process that wrote the message, wherever the class has it."""
    return at("logon_process.pid", "actor.process.pid")(event) or left("process.pid")(event)


def method(event: dict[str, Any]) -> Any:
    """Return the method of signing in as sshd writes it."""
    found = at("auth_factors.factor_type")(event)
    return found and found.replace("Password", "password")


TABLE: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    "event.outcome": lambda event: {1: "success", 2: "failure"}.get(event["status_id"]),
    "group.id": at("group.uid", "user.groups.uid"),
    "group.name": at("group.name"),
    "host.hostname": at("metadata.log_source"),
    "message": at("message"),
    "process.name": at("metadata.log_provider"),
    "process.pid": process_id,
    "source.ip": at("src_endpoint.ip"),
    "source.port": at("src_endpoint.port"),
    "system.auth.ssh.dropped_ip": at("src_endpoint.ip"),
    "system.auth.ssh.method": method,
    "system.auth.ssh.signature": left("key"),
    "system.auth.sudo.command": at("process.cmd_line"),
    "system.auth.sudo.error": at("status_detail"),
    "system.auth.sudo.pwd": at("process.working_directory"),
    "system.auth.sudo.tty": at("actor.session.terminal"),
    "system.auth.sudo.user": at("process.user.name"),
    "system.auth.useradd.home": left("home"),
    "system.auth.useradd.shell": left("shell"),
    "user.effective.name": at("process.user.name", "user.name"),
    "user.id": at("actor.user.uid", "user.uid"),
    "user.name": at("actor.user.name", "user.name"),
}
#: Agreeing of all events that have the field; 1.0 for those that are not named.
FLOOR: Final = {"process.name": 0.93, "system.auth.sudo.command": 0.96}


def pairs() -> list[tuple[bytes, dict[str, Any]]]:
    """Return each message with what Elastic expects of it."""
    found = []
    for expected in sorted(SYSTEM.glob("*/test/*-expected.json")):
        raw = expected.with_name(expected.name.removesuffix("-expected.json")).read_bytes()
        events = json.loads(expected.read_bytes())
        found += [(messages(raw[event["log.offset"] :])[0], event) for event in events]
    if not found:
        pytest.skip(f"no {SYSTEM}: set SENTINEL_DATA to the folder with real logs")
    return found


def test_agrees_with_elastic_field_by_field():
    there: Counter[str] = Counter()
    agree: Counter[str] = Counter()
    refused = 0
    for raw, expected in pairs():
        try:
            event = CONNECTOR.to_ocsf(raw)
        except MappingError:
            refused += 1
            continue
        for field in TABLE.keys() & expected.keys():
            there[field] += 1
            agree[field] += str(TABLE[field](event)) == str(expected[field])
    assert refused == 2
    assert set(there) == set(TABLE)
    low = {f: (agree[f], there[f]) for f in TABLE if agree[f] < there[f] * FLOOR.get(f, 1.0)}
    assert low == {}
    assert sum(agree.values()) / sum(there.values()) > 0.98
