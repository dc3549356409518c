"""osquery: what scheduled queries found on hosts, and what osquery says of itself.

Takes osquery's result and status logs (a line a record), of any of its loggers: differential,
batch and snapshot results, and the body that its TLS logger posts. Each row is an event
(`connectors._osquery.rows`).

What a row is about is told by the table that its query is named after (``pack_ir_file_events``),
else by its columns. Rows of what is not understood are Base Events with all their columns.

Rules of Linux and macOS of the categories process_creation, file_event and network_connection
are asked of rows about processes, files and sockets. A row has no id: an event gets its id
from where it was read.

Source: osquery documentation, "Logging", and its schema of tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from connectors._json.connector import JsonConnector
from connectors._json.decoder import JsonDecoder, View
from connectors._json.envelope import Envelope
from connectors._json.fields import Fields
from connectors._json.objects import address, text
from connectors._json.times import milliseconds, moment
from connectors._osquery import ocsf_map
from connectors._osquery.rows import about, table, units
from connectors.base import OCSF, LogSource, Summary
from schemas.ocsf import (
    ACCOUNT_CHANGE,
    AUTHENTICATION,
    BASE_EVENT,
    DETECTION_FINDING,
    FILE_ACTIVITY,
    GROUP_MANAGEMENT,
    KERNEL_EXTENSION_ACTIVITY,
    NETWORK_ACTIVITY,
    OTHER,
    PROCESS_ACTIVITY,
    SCHEDULED_JOB_ACTIVITY,
)
from sentinel.errors import MappingError

_SUCCESS, _UNKNOWN, _NEW = 1, 0, 1
_SEVERITIES: Final = {"0": 1, "1": 2, "2": 4, "3": 5}  # of status logs: glog's levels
#: Class, activity where a row was added or seen, and where it was removed.
_CLASSES: Final = {
    "account": (ACCOUNT_CHANGE, 1, 6),
    "file": (FILE_ACTIVITY, OTHER, OTHER),
    "group": (GROUP_MANAGEMENT, 6, 5),
    "job": (SCHEDULED_JOB_ACTIVITY, 1, 3),
    "listen": (NETWORK_ACTIVITY, 7, 2),
    "membership": (GROUP_MANAGEMENT, 3, 4),
    "module": (KERNEL_EXTENSION_ACTIVITY, 1, 2),
    "process": (PROCESS_ACTIVITY, 1, 2),
    "session": (AUTHENTICATION, 1, 2),
    "socket": (NETWORK_ACTIVITY, 1, 2),
    "yara": (DETECTION_FINDING, 1, 3),
}
_FILES: Final = {
    "ACCESSED": 2,
    "ATTRIBUTES_MODIFIED": 6,
    "CREATED": 1,
    "DELETED": 4,
    "MOVED_FROM": 5,
    "MOVED_TO": 5,
    "OPENED": 14,
    "UPDATED": 3,
}
_SOCKETS: Final = {"accept": 1, "bind": 7, "connect": 1, "listen": 7}
_CATEGORIES: Final = {
    "process": "process_creation",
    "file": "file_event",
    "socket": "network_connection",
}
_COLUMNS: Final = "columns"
#: What the summary is made of, of the columns, beside what a row is about.
_WANTED: Final = (
    *("username", "user", "uid", "auid", "host", "remote_address", "local_address", "tty"),
    *("path", "target_path", "action"),
)
_TAXONOMY: Final[dict[str, tuple[str, ...]]] = {
    "CommandLine": ("columns.cmdline", "columns.command_line"),
    "CurrentDirectory": ("columns.cwd",),
    "DestinationIp": ("columns.remote_address",),
    "DestinationPort": ("columns.remote_port",),
    "Image": ("columns.path", "columns.executable"),
    "ProcessId": ("columns.pid",),
    "SourceIp": ("columns.local_address",),
    "SourcePort": ("columns.local_port",),
    "TargetFilename": ("columns.target_path", "columns.dest_path"),
    "User": ("columns.username",),
}


class Osquery(JsonConnector):
    """Rows that queries of osquery found, one JSON object each."""

    logsources: ClassVar[tuple[LogSource, ...]] = (
        LogSource(product="osquery", service="osquery"),
        *(
            LogSource(product=product, category=category)
            for product in ("linux", "macos")
            for category in _CATEGORIES.values()
        ),
    )
    destinations: ClassVar[tuple[str, ...]] = ("columns.remote_address",)
    product: ClassVar[Mapping[str, Any]] = {"name": "osquery", "vendor_name": "osquery"}
    envelope: ClassVar[Envelope] = Envelope(lists=("data",))
    reads: ClassVar[frozenset[str]] = frozenset(
        {"action", "calendarTime", "decorations.username", "hostIdentifier", "message", "name"}
        | {"severity", "unixTime"}
    )
    looks_into: ClassVar[frozenset[str]] = frozenset({_COLUMNS})
    own: ClassVar[frozenset[str]] = frozenset({"calendarTime", "unixTime", _COLUMNS})

    def split(self, value: bytes) -> Iterable[bytes]:
        """Return the rows of a message, each as a differential result."""
        return [unit for part in super().split(value) for unit in units(part)]

    def spellings(self, field: str) -> Sequence[str]:
        """Return the column that a field of one of Sigma's categories is."""
        category, _, name = field.partition(".")
        return _TAXONOMY.get(name, ()) if category in _CATEGORIES.values() else ()

    def decoder(self, fields: frozenset[str]) -> JsonDecoder:
        """Return a decoder that can say who began a connection."""
        made = super().decoder(fields)
        found = made.plain(_COLUMNS)
        made.compute("network_connection.Initiated", lambda event: _initiated(found(event)))
        return made

    def category(self, event: View) -> str:
        """Return the Sigma category of what the row is about."""
        return _CATEGORIES.get(about(event.text("name"), event.get(_COLUMNS)), "")

    def identity_of(self, event: View) -> tuple[str | None, int]:
        """Return when it happened, where the table says so, else when it was asked for."""
        row = _row(event)
        own = moment(text(row.get("time")) or None) if "eid" in row else None
        return None, own or milliseconds(
            event.get("unixTime") or event.get("calendarTime"), "unixTime"
        )

    def besides(self, event: View) -> Any:
        """Return what a row is about, and what the summary says of it."""
        row = _row(event)
        return about(event.text("name"), row), list(map(row.get, _WANTED))

    def columns_of(self, event: View) -> Summary:
        """Return the columns; who acted is ``host/user``, else the host."""
        row = _row(event)
        name, message = event.text("name"), event.text("message")
        if not name and not message:
            raise MappingError("missing_field", "expected the name of a query, or a message")
        kind, action = about(name, row), event.text("action")
        class_uid, activity_id = _classified(kind, action, row)
        known = class_uid not in (BASE_EVENT, DETECTION_FINDING)
        host = event.text("hostIdentifier")
        who = _first(row, "username", "user") or event.text("decorations.username")
        who = who or _first(row, "uid", "auid")
        source = address(_first(row, "host", "remote_address")) if kind == "session" else ""
        native_id, when = self.identity_of(event)
        return Summary(
            native_id=native_id,
            time=when,
            class_uid=class_uid,
            activity_id=activity_id,
            status_id=_NEW if class_uid == DETECTION_FINDING else _SUCCESS if known else _UNKNOWN,
            severity_id=_severity(class_uid, event.text("severity")),
            entity=f"{host}/{who}" if host and who else host or who,
            operation=_operation(row, name, action),
            service=table(name) or name or "status",
            src_ip=source or (address(row.get("local_address")) if kind == "socket" else ""),
            user_agent=_first(row, "tty"),
            region=host,
        )

    def objects(self, fields: Fields, summary: Summary) -> OCSF:
        """Return the objects of the row's class; see `connectors._osquery.ocsf_map`."""
        return ocsf_map.objects(fields, summary)


def _row(event: View) -> dict[str, Any]:
    found = event.get(_COLUMNS)
    return found if found.__class__ is dict else {}


def _initiated(row: Any) -> str | None:
    """Return what Sysmon says of a connection: whether it went out from here."""
    action = row.get("action") if row.__class__ is dict else None
    return {"connect": "true", "accept": "false"}.get(text(action))


def _first(row: dict[str, Any], *names: str) -> str:
    for name in names:  # not a generator: this runs several times an event
        value = row.get(name)
        if value.__class__ is str:
            if value:
                return str(value)
        elif value.__class__ is int:
            return str(value)
    return ""


def _classified(kind: str, action: str, row: dict[str, Any]) -> tuple[int, int]:
    if kind not in _CLASSES:
        return BASE_EVENT, OTHER
    class_uid, added, removed = _CLASSES[kind]
    if kind == "file":
        return class_uid, _FILES.get(_first(row, "action"), OTHER)
    if kind == "socket":
        return class_uid, _SOCKETS.get(_first(row, "action"), added)
    if action == "snapshot" and class_uid != DETECTION_FINDING:
        return class_uid, OTHER  # it is there; nobody said that it came to be
    return class_uid, removed if action == "removed" else added


def _severity(class_uid: int, level: str) -> int:
    if class_uid == DETECTION_FINDING:
        return 4
    return _SEVERITIES.get(level, 1)


def _operation(row: dict[str, Any], name: str, action: str) -> str:
    """Return the program that ran, what was done to a file, else what became of the row."""
    return _first(row, "path", "target_path", "username", "user") or action or name or "status"
