"""Reports become units: one finding each, with the scan that it belongs to.

A unit is a JSON object::

    {"at": 3, "scan": {"id": …, "time": …, "target": …, "version": …, "total": 120},
     "context": {…}, "finding": {…}}

``at`` is the number of the finding in its scan, ``finding`` its bytes as they stand in the
report, ``context`` what the report says around it. The last unit of a scan is
``{"at": 120, "scan": {…}, "done": true}``; a scan without findings is that unit alone.

A message of ``raw.<source>`` is a report; a report in an envelope that says what the report
does not, ``{"scan": {"target": "git.example.com/shop", "time": …, "id": …, "scope": …},
"report": …}``, where ``scope`` is what part of the target it covered (``namespace/shop``);
or units, one a line. The last is what `messages` makes of a file, because a report may be
larger than a Kafka message.

Memory: a report is never decoded as a whole. Slices of it (`msgspec.Raw`, some 100 bytes a
finding) are taken from the bytes or from a memory map of a file, and copied one at a time.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

import msgspec

from connectors._json.times import milliseconds
from sentinel.errors import DecodeError

#: What holds a report: bytes, a memory map or a slice of either.
Document = Any
MESSAGE_BYTES: Final = 1 << 19
"""Units are put into messages of about this size, far below Kafka's limit of 16 MiB."""
MAX_FINDINGS: Final = 5_000_000
"""Findings of one scan; more are no report."""
NAMESPACE: Final = UUID("5bd1f5a3-55c1-5f0e-9d0e-6a3f0c3f7e51")
EMPTY: Final = b"{}"
#: Of the label in ``metadata.labels`` that names the part of the target that a scan covered.
SCOPE_LABEL: Final = "scope:"
_MARK: Final = b"\xef\xbb\xbf"
_UNIT: Final = re.compile(rb'\{"at":\d+,"scan":\{')
_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_array: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_any: Final = msgspec.json.Decoder().decode


class Scan(NamedTuple):
    """One run of a scanner over one target, as a report tells of it.

    Attributes
    ----------
    findings
        JSON of the context and of the finding itself, in order.
    target
        What was scanned, without what changes from scan to scan (`identity.artifact`).
        Empty where the report does not say: nothing is then concluded from what is missing.
    time
        As the report spells it; None where it does not.
    version
        Of the scanner.
    uid
        The report's own id of the scan.
    scope
        Part of the target that this run covers where a report has a run for each part (a
        framework): runs of other parts say nothing of what this one found.
    """

    findings: Sequence[tuple[bytes, Document]]
    target: str = ""
    time: Any = None
    version: str = ""
    uid: str = ""
    scope: str = ""


class Given(NamedTuple):
    """What the sender says of a scan; it goes before what the report says.

    Attributes
    ----------
    target, uid
        As in `Scan`.
    scope
        What part of the target the scan covered: a namespace, a set of checks or options.
        It resolves only what scans of the same part found (`streams.sinks.findings`).
    time
        As JSON has it, or None.
    fallback
        Milliseconds since the epoch, where neither report nor sender has a time; None: now.
    """

    target: str = ""
    uid: str = ""
    scope: str = ""
    time: Any = None
    fallback: int | None = None


def objects(raw: Document, what: str) -> dict[str, Document]:
    """Return the members of a JSON object; DecodeError ``shape`` where it is none."""
    found: dict[str, Document] = _parsed(_object, raw, f"an object as {what}")
    return found


def members(document: Document) -> dict[str, Document]:
    """Return the members of a message that is one JSON object; of any other none.

    What does not parse may be JSON lines, or broken: whoever takes the report apart says so.
    """
    if first(document) != b"{":
        return {}
    try:
        found: dict[str, Document] = _object(document)
    except (ValueError, RecursionError):
        return {}
    return found


def items(raw: Document | None, what: str) -> list[Document]:
    """Return the items of a JSON array, none of ``null``; DecodeError ``shape`` otherwise."""
    if raw is None or bytes(memoryview(raw)[:4]) == b"null":
        return []
    found: list[Document] = _parsed(_array, raw, f"an array as {what}")
    if len(found) > MAX_FINDINGS:
        raise DecodeError(
            "too_large", f"expected at most {MAX_FINDINGS} items as {what}, found {len(found)}"
        )
    return found


def value(raw: Document | None) -> Any:
    """Return a small JSON value decoded; None where it is missing."""
    return None if raw is None else _parsed(_any, raw, "JSON")


def text(raw: Document | None) -> str:
    """Return a JSON text; empty where it is missing or something else."""
    found = value(raw)
    return found if isinstance(found, str) else ""


def context(**values: Any) -> bytes:
    """Return a context as JSON, without what is empty or missing."""
    return msgspec.json.encode({name: item for name, item in values.items() if item})


def first(document: Document) -> bytes:
    """Return the first byte that is no white space or byte order mark, or nothing."""
    start = bytes(memoryview(document)[:4096])
    return start.removeprefix(_MARK).lstrip()[:1]


def is_units(document: Document) -> bool:
    """Say whether this is what `messages` made."""
    return _UNIT.match(bytes(memoryview(document)[:64])) is not None


def opened(document: Document) -> tuple[Document, Given]:
    """Take a report out of its envelope where it is in one, and out of a byte order mark."""
    if bytes(memoryview(document)[:3]) == _MARK:
        document = memoryview(document)[3:]
    found = members(document)
    if not {"report", "scan"} <= found.keys():
        return document, Given()
    said = objects(found["scan"], "scan")
    return found["report"], Given(
        target=text(said.get("target")),
        uid=text(said.get("id")),
        scope=text(said.get("scope")),
        time=value(said.get("time")),
    )


def units(source: str, scans: Iterable[Scan], given: Given) -> Iterator[bytes]:
    """Yield the units of every scan; each scan ends with the unit that says so."""
    for scan in scans:
        head = b',"scan":' + msgspec.json.encode(_head(source, scan, given))
        for at, (around, finding) in enumerate(scan.findings):
            yield b"".join(
                (b'{"at":%d' % at, head, b',"context":', around, b',"finding":', finding, b"}")
            )
        yield b'{"at":%d%b,"done":true}' % (len(scan.findings), head)


def messages(found: Iterable[bytes]) -> Iterator[bytes]:
    """Put units into messages, one a line."""
    lines: list[bytes] = []
    size = 0
    for unit in found:
        line = unit.replace(b"\n", b" ").replace(b"\r", b" ") if b"\n" in unit else unit
        if lines and size + len(line) > MESSAGE_BYTES:
            yield b"\n".join(lines)
            lines, size = [], 0
        lines.append(line)
        size += len(line) + 1
    if lines:
        yield b"\n".join(lines)


def _head(source: str, scan: Scan, given: Given) -> dict[str, Any]:
    """Return what every unit of a scan says of it."""
    said = given.time or scan.time
    fallback = int(time.time() * 1000) if given.fallback is None else given.fallback
    when = milliseconds(said, "the report's time") if said else fallback
    target = given.target or scan.target
    uid = given.uid or scan.uid
    # Reports without an id or time of their own are known by what is in them, so that the
    # same report sent twice is one scan.
    known_by = uid or (str(when) if said else "") or _digest(scan)
    name = "\x1f".join((source, target, scan.scope, known_by, str(len(scan.findings))))
    name += f"\x1f{given.scope}" if given.scope else ""
    within = {"within": given.scope} if given.scope else {}
    return within | {
        "id": str(uuid5(NAMESPACE, name)),
        "time": when,
        "target": target,
        "scope": scan.scope,
        "version": scan.version,
        "total": len(scan.findings),
    }


def _digest(scan: Scan) -> str:
    """Return a digest of the findings that white space and the order of fields do not change."""
    made = blake2b(digest_size=16)
    for around, finding in scan.findings:
        made.update(around)
        made.update(msgspec.json.encode(_parsed(_any, finding, "JSON"), order="sorted"))
    return made.hexdigest()


def _parsed(parse: Any, raw: Document, expected: str) -> Any:
    try:
        return parse(raw)
    except msgspec.ValidationError as error:
        raise DecodeError(
            "shape", f"expected {expected}, found another kind of JSON: {error!s:.200}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DecodeError(
            "json", f"expected {expected}, found bytes that do not parse: {error!s:.200}"
        ) from error
