"""From a syslog message and what it means to an OCSF event."""

from __future__ import annotations

from typing import Any, Final

from connectors._json.fields import some
from connectors._json.objects import address, endpoint, port, user, whole
from connectors._json.observables import observables
from connectors._syslog.meaning import SWITCH, Meaning
from connectors._syslog.message import Message
from connectors.base import OCSF, Summary
from schemas.ocsf import (
    ACCOUNT_CHANGE,
    AUTHENTICATION,
    BASE_EVENT,
    EVENT_LOG_ACTIVITY,
    GROUP_MANAGEMENT,
    PROCESS_ACTIVITY,
    SCHEDULED_JOB_ACTIVITY,
    SSH_ACTIVITY,
    VERSION,
    status_name,
)

_FACILITIES: Final = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron"),
    *("authpriv", "ftp", "ntp", "audit", "alert", "clock"),
    *(f"local{number}" for number in range(8)),
)
_METHODS: Final = {
    "password": ("Password", 11),
    "keyboard-interactive/pam": ("keyboard-interactive/pam", 99),
    "publickey": ("publickey", 99),
}
_SSH_METHODS: Final = {
    "gssapi-with-mic": ("GSSAPI", 2),
    "hostbased": ("Host Based", 3),
    "keyboard-interactive/pam": ("Keyboard Interactive", 4),
    "password": ("Password", 5),
    "publickey": ("Public Key", 6),
}
#: Classes that have a device without a profile for it.
_SYSTEM: Final = frozenset({EVENT_LOG_ACTIVITY, PROCESS_ACTIVITY, SCHEDULED_JOB_ACTIVITY})
_PIDS: Final = 1 << 31
_SUBSTITUTE: Final = {"account_switch_type": "Substitute User", "account_switch_type_id": 1}
_PLACED: Final = frozenset(
    {"by", "by_uid", "command", "error", "gid", "group", "ip", "method", "port", "pwd", "rhost"}
    | {"service", "session", "tty", "uid", "user"}
)


def build(message: Message, read: Meaning, summary: Summary) -> OCSF:
    """Return the OCSF event of a message."""
    event = summary.head()
    event |= {
        "status": status_name(summary.class_uid, summary.status_id),
        "status_id": summary.status_id,
    }
    event |= some(message=message.text, status_detail=read.found.get("error"))
    event |= _BY_CLASS[summary.class_uid](message, read.found, summary)
    facility = message.facility
    event["metadata"] = some(
        event_code=message.message_id,
        log_format=message.format,
        log_name=_FACILITIES[facility] if facility is not None else None,
        log_provider=message.app,
        log_source=message.host,
        product={"name": "syslog", "vendor_name": "IETF"},
        profiles=["host"] if summary.class_uid not in _SYSTEM | {BASE_EVENT} else None,
    )
    event["metadata"]["version"] = VERSION
    event |= some(observables=observables(event))
    return event | some(unmapped=_left(message, read.found, summary))


def _left(message: Message, found: dict[str, str], summary: Summary) -> dict[str, Any]:
    """Return what has no place: structured data, and the process of a Base Event."""
    left = {
        f"structured_data.{element}.{name}": value
        for element, values in list(message.data.items())[:16]
        for name, value in list(values.items())[:16]
    }
    left |= {name: value for name, value in found.items() if name not in _PLACED}
    if summary.class_uid in (BASE_EVENT, GROUP_MANAGEMENT, ACCOUNT_CHANGE) and message.pid:
        left["process.pid"] = message.pid
    return left


def _device(message: Message) -> dict[str, Any]:
    named = {"ip": message.host} if address(message.host) else {"hostname": message.host}
    return {**(named if message.host else {"name": "unknown"}), "type": "Unknown", "type_id": 0}


def _program(message: Message) -> dict[str, Any]:
    """Return the process that wrote the message."""
    number = whole(message.pid, _PIDS)
    name = message.app or "unknown"
    return some(name=name, pid=number, uid=f"{message.host}/{name}" if number is None else None)


def _source(found: dict[str, str]) -> dict[str, Any]:
    where = found.get("ip") or found.get("rhost")
    return endpoint(where, port=port(found.get("port"))) if where else {}


def _user(found: dict[str, str]) -> dict[str, Any]:
    return user(found.get("user"), found.get("uid"))


def _actor(message: Message, found: dict[str, str]) -> dict[str, Any]:
    return some(process=_program(message), user=user(found.get("by"), found.get("by_uid")))


def _authentication(message: Message, found: dict[str, str], summary: Summary) -> OCSF:
    person = _user(found)
    factor = _METHODS.get(found.get("method", ""))
    remote = bool(found.get("ip") or found.get("rhost"))
    event = some(
        actor=_actor(message, found),
        auth_factors=[{"factor_type": factor[0], "factor_type_id": factor[1]}] if factor else None,
        device=_device(message),
        dst_endpoint=endpoint("", hostname=message.host) if message.host else None,
        logon_process=_program(message),
        service={"name": found.get("service") or message.app or "unknown"},
        session=some(uid=found.get("session"), terminal=found.get("tty")),
        src_endpoint=_source(found),
        user=person or {"name": "unknown"},
    )
    if summary.activity_id == SWITCH:
        event |= _SUBSTITUTE
    return event | {"is_remote": remote}


def _ssh(message: Message, found: dict[str, str], summary: Summary) -> OCSF:
    method = _SSH_METHODS.get(found.get("method", ""))
    return some(
        actor=some(process=_program(message), user=_user(found)),
        app_name=message.app,
        auth_type=method[0] if method else None,
        auth_type_id=method[1] if method else None,
        device=_device(message),
        dst_endpoint=endpoint("", hostname=message.host) or {"name": "unknown"},
        src_endpoint=_source(found),
    )


def _process(message: Message, found: dict[str, str], summary: Summary) -> OCSF:
    line = found.get("command", "")
    program = line.partition(" ")[0]
    runs_as = some(
        name=found.get("user"), groups=[{"name": found["group"]}] if "group" in found else None
    )
    started = some(
        cmd_line=line,
        file=_file(program),
        name=program.rpartition("/")[2] or program,
        uid=f"{message.host}/{program or 'unknown'}",
        user=runs_as if "name" in runs_as else None,
        working_directory=found.get("pwd"),
    )
    actor = _actor(message, found)
    if "tty" in found:
        actor["session"] = {"terminal": found["tty"]}
    return {"actor": actor, "device": _device(message), "process": started}


def _file(path: str) -> dict[str, Any] | None:
    if not path.startswith("/"):
        return None
    name = path.rpartition("/")[2] or path
    return {"name": name, "path": path, "type": "Unknown", "type_id": 0}


def _job(message: Message, found: dict[str, str], summary: Summary) -> OCSF:
    line = found.get("command", "")
    job = some(cmd_line=line, name=line or f"crontab of {found.get('user', 'unknown')}")
    return {
        "actor": _actor(message, found),
        "device": _device(message),
        "job": job | some(user=_user(found)),
    }


def _account(message: Message, found: dict[str, str], summary: Summary) -> OCSF:
    person = _user(found) or {"name": "unknown"}
    groups = [{"uid": found["gid"]}] if "gid" in found else None
    return {
        "actor": _actor(message, found),
        "device": _device(message),
        "user": person | some(groups=groups),
    }


def _group(message: Message, found: dict[str, str], summary: Summary) -> OCSF:
    group = some(name=found.get("group"), uid=found.get("gid"))
    return some(
        actor=_actor(message, found),
        device=_device(message),
        group=group or {"name": "unknown"},
        user=_user(found),
    )


def _log(message: Message, found: dict[str, str], summary: Summary) -> OCSF:
    return {
        "actor": _actor(message, found),
        "device": _device(message),
        "log_provider": message.app or "syslog",
    }


def _base(message: Message, found: dict[str, str], summary: Summary) -> OCSF:
    return {}


_BY_CLASS: Final = {
    ACCOUNT_CHANGE: _account,
    AUTHENTICATION: _authentication,
    BASE_EVENT: _base,
    EVENT_LOG_ACTIVITY: _log,
    GROUP_MANAGEMENT: _group,
    PROCESS_ACTIVITY: _process,
    SCHEDULED_JOB_ACTIVITY: _job,
    SSH_ACTIVITY: _ssh,
}
