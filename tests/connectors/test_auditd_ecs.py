"""Elastic's auditbeat as the oracle of auditd: its expected ECS, field by field.

`TABLE` says where each ECS field is in our events. Their names of users are those of the hosts
that made the logs: they reach our events by the way a user takes, a file like ``/etc/passwd``
(`connectors._auditd.watch.users`), here made from what auditbeat expects. Left out are fields of
their pipeline alone, copies (``related.*``, ``auditd.summary.*``), SELinux parts, and details of
paths that OCSF has no place for.

What does not agree is not ours:

- ``auditd.data.terminal``: ``ssh`` is no terminal.
- ``auditd.session``, ``event.outcome``: of a kernel before 3.14, whose login record auditbeat
  does not understand.
- ``auditd.data.acct``, ``group.id``: ``acct`` of ADD_GROUP is the group's name, and 9999 an id
  that is in no record.
- ``process.pid``: the process of USER_CMD is the command that sudo starts, whose id nobody says.
- ``user.effective.*``: as ECS says it, the user acted as: of a record of user space auditbeat
  takes ``acct`` for it, also where sudo asked for the password of the one who stays .
- ``user.id``, ``user.name``: who acts is the login user here (``auid``), who does not change;
  auditbeat takes the user before a login, and root for a set-user-id program.
- ``user.target.id``: looked up on their host by a name; no record has it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from connectors._auditd.watch.users import Users
from connectors.auditd import Auditd
from schemas.ocsf import validate
from sentinel.settings import Settings

CONNECTOR = Auditd()
DATA = Path(Settings().data) / "beats" / "auditbeat" / "testdata"


def at(*paths: str) -> Callable[[dict[str, Any]], Any]:
    """Return what gives the first value at one of `paths`."""

    def find(event: dict[str, Any]) -> Any:
        for path in paths:
            value: Any = event
            for name in path.split("."):
                value = value.get(name) if isinstance(value, dict) else None
            if value is not None:
                return value
        return None

    return find


TABLE: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    "auditd.data.acct": at("user.name"),
    "auditd.data.addr": at("src_endpoint.ip"),
    "auditd.data.hostname": at("src_endpoint.hostname", "src_endpoint.ip"),
    "auditd.data.op": at("unmapped.op"),
    "auditd.data.syscall": at("metadata.event_code"),
    "auditd.data.terminal": at("actor.session.terminal"),
    "auditd.sequence": at("metadata.sequence"),
    "auditd.session": at("actor.session.uid"),
    "event.outcome": lambda event: {1: "success", 2: "failure"}.get(event["status_id"]),
    "group.id": at("group.uid"),
    "process.executable": at("actor.process.file.path"),
    "process.name": at("actor.process.name"),
    "process.pid": at("actor.process.pid"),
    "process.ppid": at("actor.process.parent_process.pid"),
    "process.title": at("actor.process.cmd_line"),
    "source.ip": at("src_endpoint.ip"),
    "user.audit.id": at("actor.user.uid"),
    "user.audit.name": at("actor.user.name"),
    "user.effective.id": at("actor.process.user.uid"),
    "user.effective.name": at("actor.process.user.name"),
    "user.id": at("actor.user.uid", "actor.process.user.uid"),
    "user.name": at("actor.user.name", "actor.process.user.name"),
    "user.target.id": at("user.uid"),
}
#: Fields that do not agree in every event: in how many they do, of how many that have them.
AGREE: Final = {
    "auditd.data.acct": (31, 32),
    "auditd.data.terminal": (48, 49),
    "auditd.session": (54, 55),
    "event.outcome": (55, 56),
    "group.id": (3, 4),
    "process.pid": (53, 56),
    "user.effective.id": (30, 47),
    "user.effective.name": (30, 48),
    "user.id": (50, 53),
    "user.name": (49, 52),
    "user.target.id": (9, 11),
}


def flat(value: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Return nested objects with their paths as keys."""
    found: dict[str, Any] = {}
    for name, item in value.items():
        found |= flat(item, f"{path}{name}.") if isinstance(item, dict) else {path + name: item}
    return found


def expected() -> list[dict[str, Any]]:
    """Return what auditbeat expects, flat."""
    files = sorted(DATA.glob("*-expected.json"))
    if not files:
        pytest.skip(f"no {DATA}: set SENTINEL_DATA to the folder with real logs")
    return [flat(event) for path in files for event in json.loads(path.read_bytes())]


def ours(event: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """Return our event of the same records, on a host with the same users."""
    kinds = ("user.audit", "user.effective", "user", "user.target")
    names = {event.get(f"{kind}.id"): event.get(f"{kind}.name") for kind in kinds}
    passwd = tmp_path / "passwd"
    passwd.write_text("".join(f"{name}:x:{uid}:\n" for uid, name in names.items() if name and uid))
    users = Users(passwd)
    users.refresh()
    lines = [users.enriched(line.encode()) for line in event["event.original"]]
    assembler = CONNECTOR.assembler()
    (unit,) = [*assembler.feed(lines, 0), *assembler.flush()]
    found = CONNECTOR.to_ocsf(unit)
    assert validate(found) == []
    return found


def test_agrees_with_auditbeat_field_by_field(tmp_path):
    there: Counter[str] = Counter()
    agree: Counter[str] = Counter()
    for event in expected():
        found = ours(event, tmp_path)
        for field in TABLE.keys() & event.keys():
            there[field] += 1
            agree[field] += str(TABLE[field](found)) == str(event[field])
    assert set(there) == set(TABLE)
    assert {f: (agree[f], there[f]) for f in TABLE if agree[f] < there[f]} == AGREE
    assert sum(agree.values()) / sum(there.values()) > 0.93
