r"""What Sigma rules can ask of an audit event, by the field names that public rules use.

Raw fields (``product: linux, service: auditd``): the names of the log itself, over all
records of the event: ``type``, ``a0`` …, ``exe``, ``comm``, ``key``, ``name``, ``nametype``,
``proctitle``, ``cwd``, ``uid``, ``success``, ``exit``, ``addr``, ``terminal``, ``acct``,
``op``, ``res``, ``unit``, … A field that several records have is a list, and any of it may
match. Hexadecimal strings are decoded. Beyond that

- ``syscall`` is the number and the name; ``exit`` the number and the error's name;
- ``name`` is the name as given and the absolute path; ``objtype`` and ``nametype`` are one;
- ``saddr`` is the dump; ``laddr``, ``lport``, ``fam`` come from it where the log has none;
- upper-case names (``SYSCALL``, ``ARCH``, ``UID``, ``AUID`` …) are what auditd writes into
  enriched logs, worked out here where the log is not enriched.

Taxonomies (``category: process_creation`` and others): their fields exist only on events of
that category, so a rule cannot match an event of another one by them.
``process_creation.Image`` states the category; a bare ``Image`` means process_creation,
``TargetFilename`` file_event, ``DestinationIp`` network_connection.

- process_creation: a program was started (``execve`` succeeded): ``Image``,
  ``CommandLine``, ``CurrentDirectory``, ``User``, ``LogonId``, ``ProcessId``,
  ``ParentProcessId``. audit does not record the parent's image: ``ParentImage`` is never there.
- file_event: a file was created or truncated: ``TargetFilename``, ``Image``, ``User``,
  ``ProcessId``.
- network_connection: ``connect`` to an IP address, done or under way: ``DestinationIp``,
  ``DestinationPort``, ``Initiated`` (``true``), ``Image``, ``User``, ``ProcessId``.

``@category`` is the category of the event or None, ``@text`` all of its text, decoded, for
keyword searches.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from connectors._auditd import tables
from connectors._auditd.classes import open_flags, status
from connectors._auditd.event import ENCODED, Event
from connectors._auditd.record import plain, text

Getter = Callable[[Event], Any]

_UNKNOWN: Final = object()
PROCESS: Final = "process_creation"
FILE: Final = "file_event"
NETWORK: Final = "network_connection"

_O_CREAT_TRUNC: Final = 0o1000  # O_TRUNC: an existing file is made anew
_DIRECTORY: Final = "04"  # S_IFDIR is 040000
_ARGUMENT: Final = re.compile(r"a\d{1,4}")
_IDS: Final = "AUID UID GID EUID SUID FSUID EGID SGID FSGID OUID OGID OAUID SAUID ID OLD-AUID"
_UPPER: Final = frozenset(_IDS.split())


def category(event: Event) -> str | None:
    """Return the Sigma category of an event."""
    if event.executes:
        return PROCESS
    if event.call == "connect":
        peer = event.peer
        return NETWORK if peer and peer.ip and status(event) != 2 else None
    return FILE if created(event) else None


def created(event: Event) -> list[str]:
    """Return the files (no directories) that the event created or truncated."""
    if event.success is False or not event.syscall:
        return []
    renewed = open_flags(event) & _O_CREAT_TRUNC
    return [
        path.full
        for path in event.paths
        if (path.kind == "CREATE" or (renewed and path.kind == "NORMAL"))
        and not path.fields.get("mode", "").startswith(_DIRECTORY)
        and path.full
    ]


def getter(field: str) -> Getter:
    """Return the function that reads `field`, None where an event lacks it.

    An event is asked once: many rules read the same field.
    """
    inner = _getter(field)

    def read(event: Event) -> Any:
        memo = event.memo
        found = memo.get(field, _UNKNOWN)
        if found is _UNKNOWN:
            found = memo[field] = inner(event)
        return found

    return read


def _getter(field: str) -> Getter:
    """Return the function that works `field` out."""
    if field in _SPECIAL:
        return _SPECIAL[field]
    wanted, dot, name = field.partition(".")
    if dot and wanted in _TAXONOMY:
        return _within(wanted, _TAXONOMY[wanted].get(name, _nothing))
    for kind, fields in _TAXONOMY.items():
        if field in fields:
            return _within(kind, fields[field])
    if _ARGUMENT.fullmatch(field):
        return _argument(field)
    if field in _UPPER:
        return _interpreted(field)
    return _raw(field)


def _nothing(event: Event) -> None:
    """Return None: the taxonomy has no such field here."""


def _within(kind: str, inner: Getter) -> Getter:
    """Read a field only on events of a category."""
    of = getter("@category")
    return lambda event: inner(event) if of(event) == kind else None


def _flat(values: list[str]) -> str | tuple[str, ...] | None:
    """Return no value as None, one as itself, several as a tuple: a matcher can hash it."""
    if len(values) < 2:
        return values[0] if values else None
    distinct = tuple(dict.fromkeys(values))
    return distinct[0] if len(distinct) == 1 else distinct


def _raw(field: str) -> Getter:
    """Read a field of the log as it is named there."""
    decoded = text if field in ENCODED else plain

    def read(event: Event) -> Any:
        if field in event.first:
            values = [decoded(value) for value in event.raw(field) if value != "(null)"]
            if values:
                return _flat(values)
        return event.interpreted(field) or None

    return read


def _argument(field: str) -> Getter:
    """Read an argument of the program started, and of the system call."""
    index = int(field[1:])

    def read(event: Event) -> Any:
        values = event.arguments[index : index + 1]
        if field not in event.first:
            return _flat(values)
        for record in event.records:
            if record.type != "EXECVE" and field in record.fields:
                values.append(plain(record.fields[field]))
        return _flat(values)

    return read


def _interpreted(field: str) -> Getter:
    """Read what enriched logs call ``UID``: a user's name."""
    name = field.lower()

    def read(event: Event) -> Any:
        known = event.interpreted(field)
        if known:
            return known
        number = event.get(name)
        if number in tables.UNSET:
            return "unset"
        return ("root" if number == "0" else number) or None

    return read


def _syscall(event: Event) -> Any:
    """Return number and name of the call."""
    return _flat([*event.raw("syscall"), event.call] if event.call else list(event.raw("syscall")))


def _exit(event: Event) -> Any:
    """Return the result of the call, and the error's name where it is one."""
    values = list(event.raw("exit"))
    names = [
        tables.ERRNO[int(value)]
        for value in values
        if value[1:].isdecimal() and len(value) < 6 and int(value) in tables.ERRNO
    ]
    return _flat(values + names)


def _name(event: Event) -> Any:
    """Return names of files as given, and as absolute paths; and names of other records."""
    values = [path.name for path in event.paths if path.name]
    values += [path.full for path in event.paths if path.full]
    for record in event.records:
        if record.type != "PATH" and "name" in record.fields:
            values.append(text(record.fields["name"]))
    return _flat(values)


def _key(event: Event) -> Any:
    """Return the keys of the rules that matched."""
    return _flat(event.keys)


def _arch(event: Event) -> Any:
    """Return the name of the architecture."""
    arch = event.get("arch")
    return tables.arch_name(arch) if arch else None


def _peer_part(name: str, part: str) -> Getter:
    """Read a field of the log, or from the dump of the socket address."""
    raw = _raw(name)

    def read(event: Event) -> Any:
        value = raw(event)
        if value is None and event.peer is not None:
            value = getattr(event.peer, part) or None
        return value

    return read


def everything(event: Event) -> list[str]:
    """Return all text of the event, decoded: for keyword searches."""
    found = [event.command_line, event.title] if event.arguments else [event.title]
    for record in event.records:
        words = [record.type]
        execve = record.type == "EXECVE"
        for name, value in record.fields.items():
            if value[:1] == '"':
                value = value[1:].removesuffix('"')
            elif execve or name in ENCODED:
                value = text(value)
            words.append(f"{name}={value}")
        found.append(" ".join(words).replace("\0", " "))
    return [value for value in found if value]


def _user(event: Event) -> str | None:
    """Return the name of the user that the process runs as, or its number."""
    return event.user("uid") or None


_SPECIAL: Final[dict[str, Getter]] = {
    "type": lambda event: _flat([record.type for record in event.records]),
    "syscall": _syscall,
    "SYSCALL": lambda event: event.interpreted("SYSCALL") or event.call or None,
    "ARCH": _arch,
    "exit": _exit,
    "name": _name,
    "nametype": lambda event: _flat([path.kind for path in event.paths]),
    "objtype": lambda event: _flat([path.kind for path in event.paths]),
    "key": _key,
    "proctitle": lambda event: event.title or None,
    "laddr": _peer_part("laddr", "ip"),
    "lport": _peer_part("lport", "port"),
    "fam": _peer_part("fam", "family"),
    "node": lambda event: event.node or None,
    "@category": category,
    "@text": everything,
}
_COMMON: Final[dict[str, Getter]] = {
    "Image": lambda event: event.exe or None,
    "User": _user,
    "ProcessId": lambda event: event.get("pid") or None,
}
_TAXONOMY: Final[dict[str, dict[str, Getter]]] = {
    PROCESS: _COMMON
    | {
        "CommandLine": lambda event: event.command_line or None,
        "CurrentDirectory": lambda event: event.get("cwd") or None,
        "LogonId": lambda event: _set(event.get("ses")),
        "ParentProcessId": lambda event: event.get("ppid") or None,
        "ParentImage": _nothing,
        "ParentCommandLine": _nothing,
    },
    FILE: _COMMON | {"TargetFilename": lambda event: _flat(created(event))},
    NETWORK: _COMMON
    | {
        "DestinationIp": lambda event: event.peer.ip if event.peer else None,
        "DestinationPort": lambda event: event.peer.port if event.peer else None,
        "DestinationHostname": _nothing,
        "Initiated": lambda event: "true",
    },
}


def _set(value: str) -> str | None:
    """Return a session number that is set."""
    return value if value and value not in tables.UNSET else None
