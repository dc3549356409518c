"""From a row of osquery to the objects of its OCSF class.

Source: osquery's schema of tables.
"""

from __future__ import annotations

from typing import Any, Final

from connectors._json.fields import Fields, some
from connectors._json.objects import address, endpoint, port, text, user, whole
from connectors.base import OCSF, Summary
from schemas.ocsf import (
    ACCOUNT_CHANGE,
    AUTHENTICATION,
    BASE_EVENT,
    DETECTION_FINDING,
    FILE_ACTIVITY,
    GROUP_MANAGEMENT,
    KERNEL_EXTENSION_ACTIVITY,
    NETWORK_ACTIVITY,
    PROCESS_ACTIVITY,
    SCHEDULED_JOB_ACTIVITY,
)

_PIDS: Final = 1 << 31
#: Classes whose device needs no profile.
_SYSTEM: Final = frozenset(
    {FILE_ACTIVITY, KERNEL_EXTENSION_ACTIVITY, PROCESS_ACTIVITY, SCHEDULED_JOB_ACTIVITY}
)
_NUMBERS: Final = {"6": "tcp", "17": "udp", "1": "icmp", "58": "ipv6-icmp"}
_HASHES: Final = (("md5", "MD5", 1, 32), ("sha1", "SHA-1", 2, 40), ("sha256", "SHA-256", 3, 64))
_HEX: Final = frozenset("0123456789abcdefABCDEF")


def objects(fields: Fields, summary: Summary) -> OCSF:
    """Return everything of a row but the frame."""

    def column(*names: str) -> str:
        found = (text(fields.get(f"columns.{name}")) for name in names)
        return next(filter(None, found), "")

    host = text(fields.get("hostIdentifier"))
    fields.get("columns.time")
    event = some(
        message=fields.text("message") or f"{summary.service}: {summary.operation}",
        metadata=some(
            event_code=text(fields.get("action")),
            log_name=text(fields.get("name")),
            log_source=host,
            profiles=None if summary.class_uid in (*_SYSTEM, BASE_EVENT) else ["host"],
            sequence=whole(fields.get("counter"), _PIDS),
        ),
    )
    if summary.class_uid != BASE_EVENT:
        named = {"hostname": host} if host else {"name": "unknown"}
        event["device"] = {**named, "type": "Unknown", "type_id": 0}
    return event | _BY_CLASS[summary.class_uid](column, summary)


def _person(column: Any) -> dict[str, Any]:
    return user(column("username", "user"), column("uid", "auid", "euid"))


def _file(path: str, column: Any = None) -> dict[str, Any]:
    base = path.replace("\\", "/").rstrip("/").rpartition("/")[2] or path or "unknown"
    found = some(name=base, path=path, type="Unknown", type_id=0)
    if column is not None:
        hashes = [
            {"algorithm": label, "algorithm_id": number, "value": value}
            for name, label, number, size in _HASHES
            if len(value := column(name)) == size and set(value) <= _HEX
        ]
        found |= some(hashes=hashes, size=whole(column("size")))
    return found


def _process(column: Any, summary: Summary) -> dict[str, Any]:
    path = column("path", "executable")
    number = whole(column("pid"), _PIDS)
    name = column("name") or path.replace("\\", "/").rpartition("/")[2]
    parent = whole(column("parent", "ppid"), _PIDS)
    return some(
        cmd_line=column("cmdline", "command_line"),
        file=_file(path, column) if path else None,
        name=name,
        parent_process=some(pid=parent) if parent else None,
        pid=number,
        uid=f"{summary.region}/{path or name or 'unknown'}" if number is None else None,
        user=_person(column),
        working_directory=column("cwd"),
    )


def _process_activity(column: Any, summary: Summary) -> OCSF:
    found = _process(column, summary)
    parent = found.get("parent_process")
    actor = some(process=parent, user=_person(column))
    return {"actor": actor or {"app_name": "unknown"}, "process": found}


def _network(column: Any, summary: Summary) -> OCSF:
    protocol = column("protocol")
    name = _NUMBERS.get(protocol, "")
    number = whole(protocol, 256)
    local = endpoint(
        address(column("local_address", "address")),
        port=port(column("local_port", "port")),
        hostname=summary.region,
    )
    remote = endpoint(address(column("remote_address")), port=port(column("remote_port")))
    link = some(protocol_name=name, protocol_num=number)
    return some(
        actor={"process": _process(column, summary)},
        connection_info={**link, "direction": "Unknown", "direction_id": 0} if link else None,
        dst_endpoint=remote,
        src_endpoint=local or {"name": "unknown"},
    )


def _file_activity(column: Any, summary: Summary) -> OCSF:
    source, target = column("path"), column("target_path", "dest_path")
    moved = bool(source and target and column("dest_path"))
    actor = some(process=_process(column, summary) if column("pid") else None, user=_person(column))
    return some(
        actor=actor or {"app_name": "osquery"},
        file=_file(source if moved else target or source, column),
        file_result=_file(target) if moved else None,
    )


def _authentication(column: Any, summary: Summary) -> OCSF:
    where = column("host", "address")
    return some(
        dst_endpoint={"hostname": summary.region} if summary.region else {"name": "unknown"},
        is_remote=bool(address(where)),
        session=some(terminal=column("tty", "terminal")),
        src_endpoint=endpoint(where) if where else None,
        user=_person(column) or {"name": "unknown"},
    )


def _account(column: Any, summary: Summary) -> OCSF:
    found = _person(column) or {"name": "unknown"}
    group = column("gid")
    groups = [{"uid": group}] if group else None
    return {"user": found | some(full_name=column("description"), groups=groups)}


def _group(column: Any, summary: Summary) -> OCSF:
    group = some(name=column("groupname", "group_name"), uid=column("gid"))
    return some(group=group or {"name": "unknown"}, user=_person(column))


def _job(column: Any, summary: Summary) -> OCSF:
    line = column("command", "action")
    path = column("path")
    return {
        "job": some(
            cmd_line=line,
            file=_file(path) if path else None,
            name=column("name") or line or "unknown",
        )
    }


def _module(column: Any, summary: Summary) -> OCSF:
    name = column("name") or "unknown"
    path = column("path")
    return {
        "actor": {"app_name": "kernel"},
        "driver": {
            "file": _file(path) if path else {"name": name, "type": "Unknown", "type_id": 0}
        },
    }


def _finding(column: Any, summary: Summary) -> OCSF:
    path, rules = column("target_path", "path"), column("matches")
    return {
        "evidences": [{"file": _file(path, column)}],
        "finding_info": some(
            analytic={"name": rules or "yara", "type": "Rule", "type_id": 1},
            title=f"YARA: {rules or 'match'}",
            uid=f"{summary.region}/{path}/{rules}",
        ),
        "is_alert": True,
    }


def _base(column: Any, summary: Summary) -> OCSF:
    return {}


_BY_CLASS: Final = {
    ACCOUNT_CHANGE: _account,
    AUTHENTICATION: _authentication,
    BASE_EVENT: _base,
    DETECTION_FINDING: _finding,
    FILE_ACTIVITY: _file_activity,
    GROUP_MANAGEMENT: _group,
    KERNEL_EXTENSION_ACTIVITY: _module,
    NETWORK_ACTIVITY: _network,
    PROCESS_ACTIVITY: _process_activity,
    SCHEDULED_JOB_ACTIVITY: _job,
}
