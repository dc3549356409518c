"""OCSF objects that events of several classes share: users, sessions, processes, files."""

from __future__ import annotations

import posixpath
from ipaddress import ip_address
from typing import Any, Final

from connectors._auditd import tables
from connectors._auditd.classes import number
from connectors._auditd.event import Event, Path

_FILE_TYPES: Final = {
    "01": (1, "Regular File"),
    "04": (2, "Folder"),
    "02": (3, "Character Device"),
    "06": (4, "Block Device"),
    "014": (5, "Local Socket"),
    "001": (6, "Named Pipe"),
    "012": (7, "Symbolic Link"),
}


def user_of(event: Event, field: str) -> dict[str, Any]:
    """Return the user that a user id field names; empty where it is not set."""
    who = event.user(field)
    if not who:
        return {}
    user: dict[str, Any] = {"uid": event.get(field)}
    if who != user["uid"]:
        user["name"] = who
    if user["uid"] == "0":
        user |= {"type_id": 2, "type": "Admin"}
    return user


def session_of(event: Event) -> dict[str, Any]:
    """Return the login session."""
    number = event.get("ses")
    if not number or number in tables.UNSET:
        return {}
    session = {"uid": number}
    terminal = event.get("tty") or event.get("terminal")
    if terminal:
        session["terminal"] = terminal
    return session


def parent_of(event: Event) -> dict[str, Any]:
    """Return the parent process, of which audit records the number alone."""
    parent = number(event.get("ppid"))
    return {} if parent is None else {"pid": parent}


def process_of(event: Event) -> dict[str, Any]:
    """Return the process that the event is of; empty where it is not numbered."""
    own = number(event.get("pid"))
    if own is None:
        return {}
    process: dict[str, Any] = {"pid": own}
    optional = {
        "name": event.get("comm"),
        "cmd_line": event.get("cmd") or event.command_line,
        "working_directory": event.get("cwd"),
        "file": plain_file(event.exe, 8, "Executable File") if event.exe else None,
        "parent_process": parent_of(event),
        "user": user_of(event, "euid") or user_of(event, "uid"),
        "session": session_of(event),
    }
    process |= {name: value for name, value in optional.items() if value}
    for name in ("auid", "euid", "egid"):
        identity = number(event.get(name))
        if identity is not None:
            process[name] = identity
    return process


def plain_file(path: str, type_id: int, kind: str) -> dict[str, Any]:
    """Return a file of which the path is known."""
    name = posixpath.basename(path.rstrip("/")) or path
    return {"name": name, "path": path, "type_id": type_id, "type": kind}


def file_of(path: Path) -> dict[str, Any]:
    """Return a file of a PATH record."""
    mode = path.fields.get("mode", "")
    found = _FILE_TYPES.get(mode[:-4]) or _FILE_TYPES.get(mode[:2], (0, "Unknown"))
    file = plain_file(path.full, *found)
    folder = posixpath.dirname(path.full.rstrip("/"))
    if folder:
        file["parent_folder"] = folder
    owner = path.fields.get("ouid")
    if owner:
        file["owner"] = {"uid": owner}
    inode = path.fields.get("inode")
    if inode:
        file["uid"] = f"{path.fields.get('dev', '')}/{inode}"
    return file


def account_of(event: Event) -> dict[str, Any]:
    """Return the user that a user-space record is about; it need not exist."""
    name = event.get("acct") or event.interpreted("ID")
    uid = event.get("id")
    user = {"name": name} if name and name != uid else {}
    return user | ({"uid": uid} if uid and uid not in tables.UNSET else {})


def source_of(event: Event) -> dict[str, Any]:
    """Return ``src_endpoint`` where the record has the address of the other side."""
    address, name = event.get("addr"), event.get("hostname")
    endpoint: dict[str, Any] = {}
    try:
        endpoint["ip"] = str(ip_address(address))
    except ValueError:
        name = name or address
    if name and name != address:
        endpoint["hostname"] = name
    return {"src_endpoint": endpoint} if endpoint else {}
