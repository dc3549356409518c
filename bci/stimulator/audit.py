"""Every stimulus, call and refusal as a line of JSON: append-only, each tied to the one before.

A line holds the SHA-256 of the line before it, so that a line that is changed or taken out
shows (`verify`). The same records go to a callback, such as a producer of a Kafka topic. A
record of a call is on the disk, and with it all before it, when `Audit.write` returns.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

#: What stands for the line before the first.
NONE: Final = "0" * 64
#: Bytes that a line has at most.
LONGEST: Final = 1 << 16
Record = dict[str, Any]


class Audit:
    """Writes records.

    Parameters
    ----------
    path
        File to append to; None for none.
    tell
        Called with every record, after it is in the file.
    """

    def __init__(
        self, path: Path | None = None, tell: Callable[[Record], None] | None = None
    ) -> None:
        self._path, self._tell = path, tell
        self._last = _last(path) if path is not None else NONE
        self._number = 0

    def write(self, kind: str, at_us: int, **fields: Any) -> Record:
        """Note something that happened at `at_us` of the device's clock."""
        record: Record = {"number": self._number, "kind": kind, "at_us": at_us, **fields}
        self._number += 1
        record["before"] = self._last
        line = json.dumps(record, separators=(",", ":")).encode()
        self._last = hashlib.sha256(line).hexdigest()
        if self._path is not None:
            with self._path.open("ab") as file:
                file.write(line + b"\n")
                if kind == "call":
                    file.flush()
                    os.fsync(file.fileno())
        if self._tell is not None:
            self._tell(record)
        return record


def _last(path: Path) -> str:
    """Return the hash of the last line of a file.

    A line that a crash cut off is ended, so that the next is one of its own.
    """
    if not path.exists():
        return NONE
    with path.open("r+b") as file:
        file.seek(max(0, path.stat().st_size - LONGEST))
        end = file.read()
        if end and not end.endswith(b"\n"):
            file.write(b"\n")
    lines = end.splitlines()
    return hashlib.sha256(lines[-1]).hexdigest() if lines else NONE


def verify(path: Path) -> int:
    """Return how many lines from the first on are tied to one another.

    Fewer than there are: the last of them, or the one after it, was changed or taken out.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "audit.jsonl"
    >>> audit = Audit(path)
    >>> lines = [audit.write("call", at, name="play") for at in (1, 2, 3)]
    >>> verify(path)
    3
    >>> _ = path.write_bytes(path.read_bytes().replace(b'"at_us":2', b'"at_us":9'))
    >>> verify(path)
    2
    """
    before, count = NONE, 0
    for line in path.read_bytes().splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            return count
        if not isinstance(record, dict) or record.get("before") != before:
            return count
        before, count = hashlib.sha256(line).hexdigest(), count + 1
    return count
