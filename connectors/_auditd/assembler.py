"""Puts the records of an audit event together, as they arrive in one partition.

An event is complete

- with its ``EOE`` or ``PROCTITLE`` record, the last ones that the kernel writes, or at once
  where its type stands alone (user-space messages): as ``auparse`` of audit userspace and
  go-libaudit's reassembler decide;
- else when a record of the same host is 2 s of event time ahead of it and 8 records have
  arrived since its last one (some logs hold records out of order across such a gap);
- else when 8,192 records arrived since, 1,024 events are open (`evicted`), it has nearly
  reached the size of the largest event taken, or `flush` is called.

Completing is driven by content alone: the same records give the same events at the same
records, however they are cut into messages. ``EOE`` itself is not kept: it says nothing but
that the event ends, and auditd's own log files leave it out too.

A record that comes after its event was put out makes an event of its own: it says so in a
last line ``# sentinel part=1``, which `event.decode` turns into the suffix of its native id.
Only records that the event did not have do: an event delivered twice is put out twice, byte
for byte the same, for the stage after to recognise. The last 1,024 events are remembered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from zlib import crc32

import msgspec

from connectors._auditd.event import MARK
from connectors._auditd.record import Head, head
from connectors._auditd.serials import Serials
from connectors._auditd.tables import type_name, type_number
from sentinel.errors import SchemaError

TIMEOUT_MS: Final = 2000
SLACK: Final = 8
MAX_OPEN: Final = 1024
MAX_AGE: Final = 8192
MAX_BYTES: Final = 983_040
_REMEMBERED: Final = 1024
_MAX_NODES: Final = 4096
_MAX_DIGESTS: Final = 4096

_WAIT, _ALONE, _LAST, _END, _DAEMON = range(5)
_DAEMON_TYPES: Final = range(1200, 1300)  # auditd numbers these itself, not the kernel
_SEVERAL: Final = frozenset({"LOGIN"})  # below 1300, but with SYSCALL and PROCTITLE


class Open(msgspec.Struct, array_like=True):
    """An event that may still get records.

    `since` and `last` are the assembler's count of records at its first and last one,
    `time` milliseconds since the epoch, `size` bytes.
    """

    node: bytes
    time: int
    since: int
    last: int
    size: int
    lines: list[bytes]


class Done(msgspec.Struct, array_like=True):
    """An event put out: how many parts of it, and the check sums of its lines."""

    parts: int
    digests: list[int]


class State(msgspec.Struct, array_like=True):
    """All that an assembler knows; the order of the maps matters."""

    version: int
    count: int
    evicted: int
    forgotten: int
    open: dict[bytes, Open]
    done: dict[bytes, Done]
    serials: dict[bytes, Serials]


class AuditAssembler:
    """Assembler of one partition of ``raw.auditd``; see the module for when an event ends.

    Attributes
    ----------
    lost
        Serial numbers that never arrived, over all hosts: events lost before Sentinel.
    evicted
        Events put out because too many were open.
    """

    def __init__(self) -> None:
        self._kinds: dict[bytes, int] = {}
        self._load(State(1, 0, 0, 0, {}, {}, {}))

    def _load(self, state: State) -> None:
        self._state = state
        self._open = state.open
        self._done = state.done
        self._serials = state.serials
        self._nodes: dict[bytes, dict[bytes, Open]] = {}
        for key, entry in state.open.items():
            self._nodes.setdefault(entry.node, {})[key] = entry

    @property
    def lost(self) -> int:
        """Return how many serial numbers never arrived."""
        return self._state.forgotten + sum(serials.lost for serials in self._serials.values())

    @property
    def evicted(self) -> int:
        """Return how many events were put out because too many were open."""
        return self._state.evicted

    def feed(self, units: Sequence[bytes], offset: int) -> list[bytes]:
        """Take lines in the order of arrival; return the events now complete.

        What is no audit record is returned as it is, to become a dead letter.
        """
        out: list[bytes] = []
        for line in units:
            found = head(line)
            if found is None:
                out.append(line)
                continue
            kind = self._kind(found.type)
            if kind == _DAEMON:
                out.append(line)
            elif kind == _ALONE:
                self._note(found, found.time)
                out.append(line)
            else:
                self._take(line, found, kind, out)
        return out

    def flush(self) -> list[bytes]:
        """Return the open events, oldest first, and forget them."""
        out: list[bytes] = []
        for key in list(self._open):
            self._complete(key, out)
        return out

    def pending(self) -> int:
        """Return how many records wait in open events."""
        return sum(len(entry.lines) for entry in self._open.values())

    def snapshot(self) -> bytes:
        """Return the state."""
        return msgspec.msgpack.encode(self._state)

    def restore(self, state: bytes) -> None:
        """Take up what `snapshot` returned; raise SchemaError where it is something else."""
        try:
            loaded = msgspec.msgpack.decode(state, type=State)
        except msgspec.MsgspecError as error:
            raise SchemaError(f"expected a snapshot of the auditd assembler: {error}") from error
        if loaded.version != 1:
            raise SchemaError(f"expected auditd assembler state 1, found {loaded.version}")
        self._load(loaded)

    def _kind(self, name: bytes) -> int:
        """Return what a record of this type means for the end of its event."""
        kind = self._kinds.get(name)
        if kind is None:
            kind = _kind(type_name(name.decode("ascii")))
            if len(self._kinds) < MAX_OPEN:
                self._kinds[name] = kind
        return kind

    def _take(self, line: bytes, found: Head, kind: int, out: list[bytes]) -> None:
        """Add a record to its event and complete what it completes."""
        state = self._state
        state.count += 1
        time = found.time
        key = b"%b:%b.%b:%b" % (found.node, found.seconds, found.fraction, found.serial)
        mine = self._nodes.get(found.node)
        if mine:
            self._expire(mine, time, out)
        if kind == _END:
            self._complete(key, out)
        else:
            self._add(key, line, found, time, out)
            if kind == _LAST:
                self._complete(key, out)
        self._bound(out)

    def _add(self, key: bytes, line: bytes, found: Head, time: int, out: list[bytes]) -> None:
        """Add a record to its event, which is put out if it has become too large."""
        self._note(found, time)
        state = self._state
        entry = self._open.get(key)
        if entry is None:
            entry = self._open[key] = Open(found.node, time, state.count, 0, 0, [])
            self._nodes.setdefault(found.node, {})[key] = entry
        entry.lines.append(line)
        entry.last = state.count
        entry.size += len(line) + 1
        if entry.size > MAX_BYTES:
            self._complete(key, out)

    def _expire(self, mine: dict[bytes, Open], time: int, out: list[bytes]) -> None:
        """Complete the events of a host that are 2 s behind `time`."""
        while mine:
            key, oldest = next(iter(mine.items()))
            if oldest.time + TIMEOUT_MS > time or oldest.last + SLACK > self._state.count:
                break
            self._complete(key, out)

    def _bound(self, out: list[bytes]) -> None:
        """Complete the oldest events while there are too many or it waited too long."""
        while self._open:
            key, oldest = next(iter(self._open.items()))
            if len(self._open) > MAX_OPEN:
                self._state.evicted += 1
            elif oldest.since + MAX_AGE > self._state.count:
                break
            self._complete(key, out)

    def _complete(self, key: bytes, out: list[bytes]) -> None:
        """Put the event out, if it is open, and remember it."""
        entry = self._open.pop(key, None)
        if entry is None:
            return
        mine = self._nodes[entry.node]
        del mine[key]
        if not mine:
            del self._nodes[entry.node]
        digests = [crc32(line) for line in entry.lines]
        done = self._done.get(key)
        lines = entry.lines
        if done is None:
            self._done[key] = Done(1, digests)
            if len(self._done) > _REMEMBERED:
                del self._done[next(iter(self._done))]
        elif not set(digests) <= set(done.digests):
            lines = [*lines, MARK + b"%d" % done.parts]
            done.parts += 1
            done.digests = (done.digests + digests)[-_MAX_DIGESTS:]
        out.append(b"\n".join(lines))

    def _note(self, found: Head, time: int) -> None:
        """Follow the serial numbers of the host."""
        serials = self._serials.get(found.node)
        if serials is None:
            serials = self._serials[found.node] = Serials()
            if len(self._serials) > _MAX_NODES:
                first = next(iter(self._serials))
                self._state.forgotten += self._serials.pop(first).lost
        serials.see(int(found.serial), time)


def _kind(name: str) -> int:
    """Classify a record type by its name."""
    if name == "EOE":
        return _END
    if name == "PROCTITLE":
        return _LAST
    if name.startswith("SENTINEL_"):
        return _DAEMON  # what our own watchdog writes stands alone, and has no serial
    number = type_number(name)
    if name in _SEVERAL or not number:
        return _WAIT
    if number in _DAEMON_TYPES:
        return _DAEMON
    if number < 1300 or number >= 2000:
        return _ALONE
    return _WAIT
