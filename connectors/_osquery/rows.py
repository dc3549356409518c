"""Results of osquery become rows: one unit each, in the form of differential results.

osquery writes what a query found in four shapes: a row that was added or removed, all of them
in one record (``diffResults``), a whole snapshot, and a snapshot a row. A rule is about a row,
so each row becomes a unit ``{…, "action": "added", "columns": {…}}``; a row that is one already
is carried on byte for byte.

Source: osquery documentation, "Logging" and "Log aggregation".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final

import msgspec

_decode: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_rows: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_groups: Final = msgspec.json.Decoder(dict[str, list[msgspec.Raw]]).decode
_WORD: Final = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*")
#: Tables that are understood, longer names first, and what each is about.
TABLES: Final = {
    "bpf_process_events": "process",
    "es_process_events": "process",
    "process_events": "process",
    "processes": "process",
    "bpf_socket_events": "socket",
    "socket_events": "socket",
    "process_open_sockets": "socket",
    "listening_ports": "listen",
    "es_process_file_events": "file",
    "process_file_events": "file",
    "ntfs_journal_events": "file",
    "file_events": "file",
    "logged_in_users": "session",
    "user_events": "session",
    "users": "account",
    "groups": "group",
    "user_groups": "membership",
    "crontab": "job",
    "scheduled_tasks": "job",
    "kernel_modules": "module",
    "kernel_extensions": "module",
    "yara_events": "yara",
}
_BY_LENGTH: Final = sorted(TABLES, key=len, reverse=True)


def units(value: bytes) -> Iterable[bytes]:
    """Return the rows of a record; the record itself where it has none to take apart."""
    if b'"snapshot"' not in value and b'"diffResults"' not in value:
        return (value,)
    try:
        record = _decode(value)
        rows = list(_taken(record))
    except (ValueError, RecursionError):
        return (value,)  # the decoder says what is wrong with it
    if not rows:
        return (value,)
    rest = {
        name: part
        for name, part in record.items()
        if name not in ("action", "columns", "diffResults", "snapshot")
    }
    return [
        msgspec.json.encode({**rest, "action": action, "columns": columns})
        for action, columns in rows
    ]


def _taken(record: dict[str, msgspec.Raw]) -> Iterator[tuple[str, msgspec.Raw]]:
    if "diffResults" in record:
        for action, rows in _groups(record["diffResults"]).items():
            yield from ((action, row) for row in rows)
    elif bytes(record.get("snapshot", b""))[:1] == b"[":
        yield from (("snapshot", row) for row in _rows(record["snapshot"]))


@lru_cache(4096)
def table(name: str) -> str:
    """Return the table that a query is named after, or an empty text.

    >>> table("pack_incident-response_process_events"), table("pack/x/users_of_host")
    ('process_events', 'users')
    """
    low = name.lower()
    return next((known for known in _BY_LENGTH if _within(known, low)), "")


def _within(known: str, name: str) -> bool:
    at = name.find(known)
    before, after = name[at - 1 : at], name[at + len(known) : at + len(known) + 1]
    return at >= 0 and not before.isalnum() and not after.isalnum()


def about(name: str, columns: Any) -> str:
    """Return what a row is about: by its query's name, else by its columns; empty: unknown."""
    if found := table(name):
        return TABLES[found]
    if not isinstance(columns, dict):
        return ""
    if "target_path" in columns:
        return "file"
    if "remote_address" in columns:
        return "socket"
    if "cmdline" in columns and "pid" in columns:
        return "process"
    return ""
