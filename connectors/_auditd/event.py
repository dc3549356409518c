"""One audit event: the records with one time and serial, and what they say together."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from typing import Any, Final, Generic, NamedTuple, TypeVar

from connectors._auditd import tables
from connectors._auditd.record import Record, head, lines_of, parse, plain, text
from connectors._auditd.socket_address import Peer, peer
from sentinel.errors import DecodeError, MappingError

#: First words of the line that the assembler adds to an event put together in parts.
MARK: Final = b"# sentinel part="

_ENCODED: Final = (
    "acct cmd comm cwd data dir exe file grp invalid_context key name new_group ocomm path "
    "proctitle root_dir sw vm watch"
)
#: Fields that the kernel or auditd writes in hexadecimal where they hold odd characters
#: (``auparse/typetab.h`` of audit userspace: AUPARSE_TYPE_ESCAPED and _ESCAPED_KEY).
ENCODED: Final = frozenset(_ENCODED.split())
_ARGUMENT: Final = re.compile(r"a(\d{1,7})(\[\d{1,7}\])?")
_LATEST_MS: Final = 4_102_444_800_000  # 2100-01-01; later is a broken clock or a broken log
_AT_FDCWD: Final = frozenset({"ffffff9c", "ffffffffffffff9c"})
_DETAIL_TYPES: Final = (
    "SYSCALL PATH IPC SOCKETCALL SOCKADDR CWD EXECVE IPC_SET_PERM MQ_OPEN MQ_SENDRECV MQ_NOTIFY "
    "MQ_GETSETATTR FD_PAIR OBJ_PID EOE BPRM_FCAPS CAPSET MMAP PROCTITLE OPENAT2"
)
_DETAILS: Final = frozenset(_DETAIL_TYPES.split())
_NOTHING: Final = frozenset({"?", '"?"', "(null)", "(none)"})
_EXECVE: Final = frozenset({"execve", "execveat"})


T = TypeVar("T")


class cached(Generic[T]):  # noqa: N801 - used as a decorator
    """A property worked out once; `functools.cached_property` of Python 3.11 without its lock."""

    def __init__(self, how: Callable[[Any], T]) -> None:
        self._how = how
        self._name = how.__name__
        self.__doc__ = how.__doc__

    def __get__(self, instance: Any, _owner: Any = None) -> T:
        value = self._how(instance)
        instance.__dict__[self._name] = value
        return value


class Path(NamedTuple):
    """A file that an event names.

    Attributes
    ----------
    name
        As the process named it.
    full
        Absolute where that can be known, normalised.
    kind
        ``NORMAL``, ``PARENT``, ``CREATE``, ``DELETE`` or ``UNKNOWN``.
    fields
        The whole PATH record.
    """

    name: str
    full: str
    kind: str
    fields: dict[str, str]


class Event:
    """The records of one event.

    Attributes
    ----------
    node, stamp, time, part
        Host, ``seconds.fraction:serial``, milliseconds since the epoch (UTC), and which
        part of an event that had been put together too early (0: the event itself).
    records, kinds
        In the order of arrival, and their types.
    syscall, call
        The SYSCALL record, if any, and the name of the system call: its number where it has
        none, ``""`` where no call was recorded.
    reason
        Type of the record that tells why the event was recorded: the first that does not
        merely describe a call (AVC, ANOM_PROMISCUOUS, USER_LOGIN …), whatever its place;
        where all do, ``SYSCALL`` or the first.
    memo
        Values that rules asked for, by field.
    """

    def __init__(self, node: str, stamp: str, time: int, part: int, records: list[Record]) -> None:
        self.node = node
        self.stamp = stamp
        self.time = time
        self.part = part
        self.records = records
        self.memo: dict[str, Any] = {}
        self.kinds = kinds = [record.type for record in records]
        self.syscall = records[kinds.index("SYSCALL")] if "SYSCALL" in kinds else None
        fallback = "SYSCALL" if self.syscall else kinds[0]
        self.reason = next((kind for kind in kinds if kind not in _DETAILS), fallback)
        called = self.syscall or self.of("SECCOMP")
        self.call = ""
        if called:
            fields = called.fields
            self.call = tables.syscall_name(fields.get("arch", ""), fields.get("syscall", ""))

    @property
    def native_id(self) -> str:
        """Return ``node:seconds.fraction:serial``, and ``#n`` for the n-th late part of it."""
        own = f"{self.node}:{self.stamp}"
        return f"{own}#{self.part}" if self.part else own

    @property
    def serial(self) -> int:
        """Return the kernel's serial number, which starts anew with every boot."""
        return int(self.stamp.rpartition(":")[2])

    def raw(self, name: str) -> list[str]:
        """Return each value of a field as written, in record order."""
        if name not in self.first:
            return []
        records = self.records
        if len(records) == 1:
            return [self.first[name]]
        return [record.fields[name] for record in records if name in record.fields]

    @cached
    def first(self) -> dict[str, str]:
        """Return the value of each field in the first record that has it."""
        records = self.records
        if len(records) == 1:
            return records[0].fields
        merged = records[-1].fields
        for record in records[-2::-1]:
            merged = merged | record.fields
        return merged

    @cached
    def enriched(self) -> dict[str, str]:
        """Return what auditd interpreted, in the first record that says it."""
        merged: dict[str, str] = {}
        for record in self.records:
            if record.enriched:
                merged = record.enriched | merged
        return merged

    def get(self, name: str) -> str:
        """Return the first value of a field that says anything, decoded; else ``""``."""
        value = self.first.get(name)
        if value is None:
            return ""
        if value in _NOTHING:
            value = next((other for other in self.raw(name) if other not in _NOTHING), "")
        return text(value) if name in ENCODED else plain(value)

    def interpreted(self, name: str) -> str:
        """Return the name that auditd gave for a number, such as ``UID``; else ``""``."""
        value = self.enriched.get(name)
        return "" if value is None else plain(value)

    def of(self, kind: str) -> Record | None:
        """Return the first record of a type."""
        kinds = self.kinds
        return self.records[kinds.index(kind)] if kind in kinds else None

    @cached
    def executes(self) -> bool:
        """Tell whether a program was started: a successful ``execve`` or its arguments."""
        if self.call in _EXECVE:
            return self.success is not False
        return not self.call and self.of("EXECVE") is not None

    @property
    def incomplete(self) -> bool:
        """Tell whether records that the call's own record announces are missing."""
        if self.syscall is None:
            return False
        items = self.syscall.fields.get("items", "0")
        paths = sum(record.type == "PATH" for record in self.records)
        unexplained = self.executes and self.of("EXECVE") is None
        return unexplained or (items.isdecimal() and len(items) < 10 and int(items) > paths)

    @cached
    def success(self) -> bool | None:
        """Tell whether the kernel or the program says that it worked; None: it does not say."""
        for name in ("success", "res", "result"):
            value = self.get(name)
            if value:
                return value in {"yes", "success", "1", "ok"}
        return None

    @cached
    def arguments(self) -> list[str]:
        """Return the arguments of the program started, put together from their fragments."""
        if "EXECVE" not in self.kinds:
            return []
        pieces: dict[int, bytes] = {}
        for record in self.records:
            if record.type != "EXECVE":
                continue
            for name, value in record.fields.items():
                match = _ARGUMENT.fullmatch(name)
                if match:
                    index = int(match[1])
                    pieces[index] = pieces.get(index, b"") + _bytes(value)
        return [pieces[index].decode("utf-8", "backslashreplace") for index in sorted(pieces)]

    @cached
    def title(self) -> str:
        """Return the process title, NULs made spaces (the kernel keeps its first 128 bytes)."""
        value = self.first.get("proctitle", "")
        return text(value).replace("\0", " ").strip() if value != "(null)" else ""

    @cached
    def command_line(self) -> str:
        """Return the arguments, or the process title where they are not recorded."""
        return " ".join(self.arguments) or self.title

    @cached
    def keys(self) -> list[str]:
        """Return the keys of the audit rules that matched."""
        found: list[str] = []
        for value in self.raw("key"):
            if value != "(null)":
                names = text(value).split("\x01")
                found += [name.removeprefix("key=") for name in names if name]
        return list(dict.fromkeys(found))

    @cached
    def peer(self) -> Peer | None:
        """Return the socket address of the event."""
        value = self.first.get("saddr", "")
        return peer(value) if value else None

    @cached
    def paths(self) -> list[Path]:
        """Return the files named, by item number."""
        if "PATH" not in self.kinds:
            return []
        found = [record.fields for record in self.records if record.type == "PATH"]
        found.sort(
            key=lambda fields: int(item) if (item := fields.get("item", "0")).isdecimal() else 0
        )
        base = self._base(found)
        paths = []
        for fields in found:
            raw = fields.get("name", "(null)")
            name = "" if raw == "(null)" else text(raw)
            kind = fields.get("nametype") or fields.get("objtype") or "NORMAL"
            paths.append(Path(name, _full(base, name), kind, fields))
        return paths

    def _base(self, found: list[dict[str, str]]) -> str:
        """Return the directory that relative names start from; ``""`` where unknown."""
        syscall = self.syscall if self.call.endswith("at") else None
        if syscall and syscall.fields.get("a0", "") not in _AT_FDCWD:
            return ""  # relative to an open directory, whose name is not recorded
        return self.get("cwd")

    @cached
    def exe(self) -> str:
        """Return the path of the program that acts, or that was started."""
        found = self.get("exe")
        if found or not self.executes:
            return found
        programs = [path.full for path in self.paths[:1] if path.name]
        return (programs or self.arguments[:1] or [""])[0]

    def user(self, name: str) -> str:
        """Return who a user id field (``auid``, ``uid``, …) names: a name, else the number.

        Empty where it is not set. 0 is root also in logs that are not enriched.
        """
        number = self.get(name)
        if not number or number in tables.UNSET:
            return ""
        known = self.interpreted(name.upper())
        if known and known != "unset" and not known.startswith("unknown("):
            return known
        return "root" if number == "0" else number


def decode(unit: bytes) -> Event:
    """Read the lines of one event.

    Raises
    ------
    DecodeError
        A line is no audit record, or the lines belong to several events.
    MappingError
        The time is absurd.
    """
    lines = lines_of(unit)
    part = 0
    if lines and lines[-1].startswith(MARK):
        digits = lines.pop()[len(MARK) :].split()[0]
        part = int(digits) if digits.isdigit() and len(digits) < 10 else 0
    heads = [head(line) for line in lines]
    first = heads[0] if heads else None
    if first is None:
        raise _no_record(lines)
    records = []
    for line, found in zip(lines, heads, strict=True):
        if found is None:
            raise _no_record([line])
        if found.serial != first.serial or found.seconds != first.seconds:
            raise DecodeError(
                "several_events",
                f"expected records of audit event {first.serial.decode()}, found one of "
                f"{found.serial.decode()}: push them to raw.auditd as separate lines",
            )
        records.append(parse(line, found))
    if first.time >= _LATEST_MS:
        raise MappingError(
            "time", f"expected a time before 2100, found {first.seconds.decode()} s since 1970"
        )
    stamp = b"%b.%b:%b" % (first.seconds, first.fraction, first.serial)
    node = first.node.decode("utf-8", "backslashreplace")
    return Event(node, stamp.decode("ascii"), first.time, part, records)


def _no_record(lines: list[bytes]) -> DecodeError:
    """Say what was found in place of a record."""
    found = repr(lines[0][:80]) if lines else "nothing"
    return DecodeError(
        "record", f"expected type=… msg=audit(seconds.millis:serial): …, found {found}"
    )


def _bytes(value: str) -> bytes:
    """Return the bytes of one argument or a fragment of it."""
    if value[:1] != '"':
        try:
            return bytes.fromhex(value)
        except ValueError:
            return value.encode()
    return plain(value).encode()


def _full(base: str, name: str) -> str:
    """Return the absolute, normalised path of `name`."""
    if not name or (not name.startswith("/") and not base):
        return name
    joined = posixpath.normpath(posixpath.join(base, name))
    return joined.replace("//", "/", 1) if joined.startswith("//") else joined
