"""An audit event as OCSF (`schemas.ocsf.VERSION`).

Where it happened is ``device``, who did it ``actor`` (the login user where there is one, as
`classes.acting_user`), the keys of audit rules are ``metadata.labels``, and what OCSF has no
place for is under ``unmapped`` by its own name. ``unmapped.incomplete`` says that records
which the call announces are missing, ``unmapped.part`` that this one came too late for its event.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import Any, Final

from connectors._auditd import tables
from connectors._auditd.classes import (
    MAX_INT,
    NO_NODE,
    NO_USER,
    Class,
    acting_user,
    classify,
    number,
    operation,
    pid,
    severity,
    status,
)
from connectors._auditd.event import ENCODED, Event
from connectors._auditd.ocsf_objects import (
    account_of,
    file_of,
    parent_of,
    plain_file,
    process_of,
    session_of,
    source_of,
    user_of,
)
from connectors._auditd.record import plain, text
from connectors._auditd.socket_address import Peer
from connectors.base import OCSF
from schemas import ocsf

_PROFILES: Final = ("host", "linux/linux_users")
_KNOWN: Final = (
    "pid ppid uid gid auid ses euid egid suid sgid fsuid fsgid comm exe key acct id hostname "
    "addr res success proctitle saddr cwd cmd unit"
)
_MAPPED: Final = frozenset(_KNOWN.split())
_LABELS: Final = ("subj", "tty", "terminal", "grantors", "reason", "sig", "items", "list", "op")
_OBSERVABLES: Final = {
    "file_path": (45, "File Path"),
    "ip": (2, "IP Address"),
    "user": (4, "User Name"),
    "hostname": (1, "Hostname"),
    "cmd_line": (13, "Command Line"),
}


def to_ocsf(event: Event) -> OCSF:
    """Map an event; total."""
    found = classify(event)
    out = ocsf.head(
        found.uid,
        found.activity,
        time=event.time,
        severity_id=severity(event, found),
        operation=_what(event),
    )
    out["metadata"] = _metadata(event, found)
    out |= _status(event)
    out["message"] = f"{_what(event)} by {acting_user(event)}: {operation(event)}"
    if found.uid != ocsf.BASE_EVENT:
        out["device"] = _device(event)
        out["actor"] = _actor(event, found)
        out |= _BUILDERS[found.uid](event, found)
    seen = _observables(out)
    if seen:
        out["observables"] = seen
    out["unmapped"] = _unmapped(event)
    return out


def _what(event: Event) -> str:
    """Return the call or the record's type."""
    return event.call if event.syscall else event.reason


def _metadata(event: Event, found: Class) -> dict[str, Any]:
    """Return ``metadata``; a serial too large for OCSF is in the uid alone."""
    seconds, _, _ = event.stamp.partition(":")
    meta: dict[str, Any] = {
        "version": ocsf.VERSION,
        "product": {"name": "auditd", "vendor_name": "Linux Audit"},
        "uid": event.native_id,
        "original_time": seconds,
        "log_name": "audit",
        "event_code": _what(event),
    }
    if found.uid != ocsf.BASE_EVENT:
        meta["profiles"] = list(_PROFILES)
    if event.serial <= MAX_INT:
        meta["sequence"] = event.serial
    if event.keys:
        meta["labels"] = event.keys
    return meta


def _status(event: Event) -> dict[str, Any]:
    """Return the status; the error's name is its code."""
    number = status(event)
    out: dict[str, Any] = {"status_id": number, "status": ocsf.STATUS_NAMES[number]}
    code = event.get("exit")
    if code[:1] == "-" and code[1:].isdecimal() and len(code) < 6:
        out["status_code"] = tables.ERRNO.get(int(code), code)
    return out


def _device(event: Event) -> dict[str, Any]:
    """Return the host."""
    if event.node:
        return {"hostname": event.node, "type_id": 0, "type": "Unknown"}
    return {"name": NO_NODE, "type_id": 0, "type": "Unknown"}


def _actor(event: Event, found: Class) -> dict[str, Any]:
    """Return who did it: the process (its parent, where one was started) and the user."""
    launched = found == Class(ocsf.PROCESS_ACTIVITY, 1)
    actor: dict[str, Any] = {"user": user_of(event, "auid") or user_of(event, "uid")}
    if not actor["user"]:
        actor["user"] = {"name": NO_USER, "type_id": 3, "type": "System"}
    session = session_of(event)
    if session:
        actor["session"] = session
    process = parent_of(event) if launched else process_of(event)
    if process:
        actor["process"] = process
    return actor


def _process_activity(event: Event, found: Class) -> dict[str, Any]:
    """Build Process Activity: the process started, ended or traced."""
    process = process_of(event)
    own = pid(event)
    if process.get("pid") != own:  # another process is the object
        process = {"pid": own}
        target = event.of("OBJ_PID")
        if target is not None and "ocomm" in target.fields:
            process["name"] = text(target.fields["ocomm"])
    out: dict[str, Any] = {"process": process}
    if found.activity == 4:
        out |= {"injection_type_id": ocsf.OTHER, "injection_type": _what(event)}
    code = number(event.get("a0")) if event.call in {"exit", "exit_group"} else None
    if code is not None:
        out["exit_code"] = code
    return out


def _file_activity(event: Event, found: Class) -> dict[str, Any]:
    """Build File System Activity: the file that the call was about."""
    paths = [path for path in event.paths if path.name]
    wanted = {1: "CREATE", 4: "DELETE", 5: "DELETE"}.get(found.activity, "NORMAL")
    chosen = [path for path in paths if path.kind == wanted]
    others = [path for path in paths if path.kind != "PARENT"]
    candidates = chosen or others or paths
    if not candidates:
        return {"file": plain_file(event.get("path"), 0, "Unknown")}
    out: dict[str, Any] = {"file": file_of(candidates[0])}
    results = [path for path in paths if path.kind == "CREATE"]
    if found.activity == 5 and results:
        out["file_result"] = file_of(results[0])
    return out


def _network_activity(event: Event, found: Class) -> dict[str, Any]:
    """Build Network Activity: the other side of the socket, and which way."""
    peer = event.peer or Peer("")
    endpoint = {"ip": peer.ip, "port": peer.port} if peer.ip else {"name": peer.path}
    inbound = event.call.startswith(("accept", "recv"))
    local = event.call in {"bind", "getsockname"}
    direction = (1, "Inbound") if inbound else (0, "Unknown") if local else (2, "Outbound")
    if not peer.ip:
        direction = (4, "Local")
    info: dict[str, Any] = {"direction_id": direction[0], "direction": direction[1]}
    version = {"ipv4": (4, "Internet Protocol version 4 (IPv4)")}.get(peer.family)
    version = version or {"ipv6": (6, "Internet Protocol version 6 (IPv6)")}.get(peer.family)
    if version:
        info["protocol_ver_id"], info["protocol_ver"] = version
    side = "src_endpoint" if inbound or local else "dst_endpoint"
    return {side: endpoint, "connection_info": info}


def _authentication(event: Event, found: Class) -> dict[str, Any]:
    """Build Authentication: who, to which service, from where."""
    user = account_of(event) or user_of(event, "auid") or user_of(event, "uid")
    name = posixpath.basename(event.exe) or event.reason.lower()
    out: dict[str, Any] = {"user": user, "service": {"name": name}} | source_of(event)
    out["is_remote"] = "src_endpoint" in out
    session = session_of(event)
    if session:
        out["session"] = session
    return out


def _account_change(event: Event, found: Class) -> dict[str, Any]:
    """Build Account Change."""
    return {"user": account_of(event)} | source_of(event)


def _group_management(event: Event, found: Class) -> dict[str, Any]:
    """Build Group Management; ``acct`` and ``id`` are the group's unless ``grp`` names it."""
    name = event.get("grp") or event.get("new_group")
    member = account_of(event)
    if name:
        out: dict[str, Any] = {"group": {"name": name}}
        return (out | {"user": member} if member else out) | source_of(event)
    return {"group": member} | source_of(event)


def _lifecycle(event: Event, found: Class) -> dict[str, Any]:
    """Build Application Lifecycle: the unit or the package."""
    return {"app": {"name": event.get("unit") or event.get("sw")}}


def _event_log(event: Event, found: Class) -> dict[str, Any]:
    """Build Event Log Activity: audit itself, its rules and its daemon."""
    return {"log_name": "audit", "log_type_id": 1, "log_type": "OS"}


def _extension(event: Event, found: Class) -> dict[str, Any]:
    """Build Kernel Extension Activity: the module."""
    record = event.of("KERN_MODULE")
    named = text(record.fields["name"]) if record and "name" in record.fields else ""
    files = [path for path in event.paths if path.name and path.kind != "PARENT"]
    if files:
        return {"driver": {"file": file_of(files[0])}}
    name = named or event.get("comm")
    return {"driver": {"file": {"name": name, "type_id": 0, "type": "Unknown"}}}


def _kernel(event: Event, found: Class) -> dict[str, Any]:
    """Build Kernel Activity: the system call."""
    name = _what(event)
    kernel: dict[str, Any] = {"name": name}
    if event.call:
        kernel |= {"type_id": 2, "type": "System Call", "system_call": event.call}
    else:
        kernel |= {"type_id": ocsf.OTHER, "type": name}
    return {"kernel": kernel}


def _observables(out: OCSF) -> list[dict[str, Any]]:
    """Return what analysts pivot on, with the path to it."""
    process = out.get("process") or out.get("actor", {}).get("process", {})
    candidates = (
        ("device.hostname", "hostname", out.get("device", {}).get("hostname")),
        ("actor.user.name", "user", out.get("actor", {}).get("user", {}).get("name")),
        ("user.name", "user", out.get("user", {}).get("name")),
        ("src_endpoint.ip", "ip", out.get("src_endpoint", {}).get("ip")),
        ("dst_endpoint.ip", "ip", out.get("dst_endpoint", {}).get("ip")),
        ("file.path", "file_path", out.get("file", {}).get("path")),
        ("process.file.path", "file_path", process.get("file", {}).get("path")),
        ("process.cmd_line", "cmd_line", process.get("cmd_line")),
    )
    at = "" if "process" in out else "actor."
    return [
        {
            "name": at + name if name.startswith("process.") else name,
            "type_id": _OBSERVABLES[kind][0],
            "type": _OBSERVABLES[kind][1],
            "value": value,
        }
        for name, kind, value in candidates
        if value
    ]


def _unmapped(event: Event) -> dict[str, Any]:
    """Return what OCSF has no place for, by its own name."""
    out: dict[str, Any] = {"record_types": [record.type for record in event.records]}
    syscall = event.syscall
    if syscall is not None:
        fields = syscall.fields
        out["arch"] = tables.arch_name(fields.get("arch", ""))
        out |= {name: plain(fields[name]) for name in ("a0", "a1", "a2", "a3") if name in fields}
        if "exit" in fields:
            out["exit"] = fields["exit"]
    for name in _LABELS:
        value = event.get(name)
        if value:
            out[name] = value
    others = [r for r in event.records if r.type not in {"SYSCALL", "PATH", "EXECVE", "CWD"}]
    for record in others:
        for name, value in record.fields.items():
            decoded = text(value) if name in ENCODED else plain(value)
            if value not in {"?", "(null)"} and name not in _MAPPED:
                out.setdefault(name, decoded.replace("\0", " "))
    if event.part:
        out["part"] = event.part
    if event.incomplete:
        out["incomplete"] = True
    return out


_BUILDERS: Final[dict[int, Callable[[Event, Class], dict[str, Any]]]] = {
    ocsf.PROCESS_ACTIVITY: _process_activity,
    ocsf.FILE_ACTIVITY: _file_activity,
    ocsf.NETWORK_ACTIVITY: _network_activity,
    ocsf.AUTHENTICATION: _authentication,
    ocsf.ACCOUNT_CHANGE: _account_change,
    ocsf.GROUP_MANAGEMENT: _group_management,
    ocsf.APPLICATION_LIFECYCLE: _lifecycle,
    ocsf.EVENT_LOG_ACTIVITY: _event_log,
    ocsf.KERNEL_EXTENSION_ACTIVITY: _extension,
    ocsf.KERNEL_ACTIVITY: _kernel,
}
