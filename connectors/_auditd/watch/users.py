"""Names for user ids, where auditd was not asked to write them (``log_format = RAW``).

Names are put behind the record as auditd's own ``log_format = ENRICHED`` does, after 0x1d:
``UID="root" AUID="ada"``. So everything after this is the same for both, and what the kernel
wrote stays as it is. Only the host knows its users: give its own ``/etc/passwd``.

Source: audit-userspace, ``auditd.conf(5)`` (log_format); ``passwd(5)``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from connectors._auditd.record import ENRICHED

_MARK: Final = ENRICHED.encode()
#: Fields that hold a user id. Of one that is there twice the first counts: what a program says
#: of itself (``msg='…'``) comes after what the kernel says.
_ID: Final = re.compile(rb"(?<![\w-])(auid|uid|euid|suid|fsuid|ouid|oauid|sauid|iuid)=(\d{1,10})\b")
_UNSET: Final = b"4294967295"
_MOST: Final = 1 << 20
"""Users read out of one file."""


class Users:
    """The users of one host.

    Parameters
    ----------
    path
        A file in the form of ``/etc/passwd``; it is read again when it changes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = -1
        self._names: dict[bytes, bytes] = {}

    def refresh(self) -> None:
        """Read the file where it is new; raise OSError where it cannot be read."""
        changed = self._path.stat().st_mtime_ns
        if changed != self._changed:
            self._names = dict(_entries(self._path.read_bytes()))
            self._names[_UNSET] = b"unset"
            self._changed = changed

    def enriched(self, line: bytes) -> bytes:
        """Return a record with the names behind it; as it is where it has them already."""
        if _MARK in line or b"uid=" not in line:
            return line
        found: dict[bytes, bytes] = {}
        for field, number in _ID.findall(line):
            found.setdefault(field.upper(), number)
        names = [
            b'%b="%b"' % (field, name)
            for field, number in found.items()
            if (name := self._names.get(number))
        ]
        return b"%b%b%b" % (line, _MARK, b" ".join(names)) if names else line


def _entries(text: bytes) -> list[tuple[bytes, bytes]]:
    """Return id and name of each user; of two users with one id the first, as getpwuid does."""
    entries = []
    for line in text.split(b"\n")[:_MOST]:
        parts = line.split(b":")
        if len(parts) >= 3 and parts[2].isdigit() and parts[0] and b'"' not in parts[0]:
            entries.append((parts[2], parts[0]))
    return entries[::-1]  # a later one is overwritten by an earlier one
