"""One audit record: a line of ``audit.log`` taken apart, in time linear in its length.

Forms understood::

    type=SYSCALL msg=audit(1492037289.295:49): arch=c000003e syscall=42 …    auditd
    node=web1 type=CWD msg=audit(1492037289.295:49): cwd="/"                 with node names
    Jan  1 00:00:00 web1 audispd: node=web1 type=CWD msg=audit(…): …         syslog in front
    kernel: [ 1.5] audit: type=1300 audit(1492037289.295:49): arch=…         kernel log

Values keep their quotes here, because those tell a plain string from one that the kernel
wrote in hexadecimal ("untrusted string"; ``audit_log_untrustedstring`` in the kernel).
`text` takes both off. What an enriched log adds after 0x1d is kept apart.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from connectors._auditd.tables import type_name
from sentinel.errors import DecodeError

#: Separates a record from the values that auditd interpreted (``log_format = ENRICHED``).
ENRICHED: Final = "\x1d"

_HEAD: Final = re.compile(
    rb"type=([A-Za-z0-9_]++(?:\[\d{1,9}\])?) (?:msg=)?audit\((\d{1,12})\.(\d{1,9}):(\d{1,20})\):? ?"
)
_NODE: Final = re.compile(rb"(?:^|\s)node=(\S++)")
# Every alternative takes at least one character and gives none back: linear.
_PAIR: Final = re.compile(r"""([^\s=]++)(?:=("[^"]*+"?|\(null\)|[^\s]*+))?""")
_AVC: Final = re.compile(r"\s*+avc:\s++(\w++)\s++\{([^}]*+)\}\s++for\s")
_KERNEL: Final = frozenset({"SYSCALL", "PATH", "CWD", "SOCKADDR"})
_MAX_HEADS: Final = 8


class Head(NamedTuple):
    """Where a record belongs.

    Attributes
    ----------
    node
        Name of the host as auditd writes it (``name_format``); empty where it does not.
    type
        Record type as written: ``SYSCALL`` or ``1300``.
    seconds, fraction, serial
        Digits of ``audit(seconds.fraction:serial)``.
    end
        Where the body starts in the line.
    """

    node: bytes
    type: bytes
    seconds: bytes
    fraction: bytes
    serial: bytes
    end: int

    @property
    def time(self) -> int:
        """Return milliseconds since the epoch, UTC."""
        fraction = self.fraction
        if len(fraction) != 3:  # auditd always writes three digits, others need not
            fraction = fraction[:3].ljust(3, b"0")
        return int(self.seconds + fraction)


class Record(NamedTuple):
    """A record taken apart.

    Attributes
    ----------
    type
        Name of the record type: ``SYSCALL``.
    fields
        Values by name as written, quotes kept; those inside ``msg='…'`` too.
    enriched
        Values that auditd interpreted, by upper-case name.
    """

    type: str
    fields: dict[str, str]
    enriched: dict[str, str]


def head(line: bytes) -> Head | None:
    """Find the head of a record; None where the line is not one."""
    start = line.find(b"type=")
    for _ in range(_MAX_HEADS):
        if start < 0:
            break
        match = _HEAD.match(line, start)
        if match:
            node = _NODE.search(line, 0, start) if start else None
            kind, seconds, fraction, serial = match.groups()
            return Head(node[1] if node else b"", kind, seconds, fraction, serial, match.end())
        start = line.find(b"type=", start + 5)
    return None


def parse(line: bytes, found: Head) -> Record:
    """Take the line apart whose `head` was `found`."""
    body = line[found.end :].decode("utf-8", "backslashreplace")
    body, _, extra = body.partition(ENRICHED)
    kind = type_name(found.type.decode("ascii"))
    fields: dict[str, str] = {}
    start = body.find("msg='")
    if start >= 0:
        inner = body[start + 5 :].rstrip()
        body = body[:start]
        fields = _inner(inner.removesuffix("'"))
    elif "avc:" in body:
        body = _avc(body, fields)
    elif kind == "LOGIN":  # kernels before 3.14: "old auid=1 new auid=2"
        body = body.replace("old auid", "old-auid").replace("new auid", "auid")
    # The outer fields come from the kernel: a user's text must not replace them.
    fields |= _unquoted(body) if kind in _KERNEL else pairs(body)
    return Record(kind, fields, pairs(extra) if extra else {})


def pairs(body: str) -> dict[str, str]:
    """Return the ``name=value`` pairs; words without ``=`` are dropped."""
    return {name: value for name, value in _PAIR.findall(body) if value}


def _unquoted(body: str) -> dict[str, str]:
    """Return what `pairs` does, faster, for a body whose quoted values have no spaces.

    Those of the kernel have none: it writes such strings in hexadecimal. Anything that does
    not look so is left to `pairs`, and so is an enriched log whose separator was lost.
    """
    if "ARCH=" in body or "= " in body:
        return pairs(body)
    try:
        return dict([word.split("=", 1) for word in body.split()])
    except ValueError:  # a word without "="
        return pairs(body)


def _inner(inner: str) -> dict[str, str]:
    """Read the ``msg='…'`` of a user-space record, also in the form of before 2008.

    That form ends in brackets: ``PAM: setcred acct=root : exe="…" (hostname=?, addr=?)``.
    """
    fields = pairs(inner)
    if "(hostname" in fields:
        fields = pairs(inner.replace("(hostname=", "hostname=").replace(", ", " "))
        fields = {name: value.removesuffix(")") for name, value in fields.items()}
    return fields


def _avc(body: str, fields: dict[str, str]) -> str:
    """Read ``avc:  denied  { read } for`` into `fields`; return the rest of the body."""
    match = _AVC.match(body)
    if not match:
        return body
    fields["seresult"] = match[1]
    fields["seperms"] = match[2].strip().replace(" ", ",")
    return body[match.end() :]


def plain(value: str) -> str:
    """Take the quotes off a value."""
    return value[1:].removesuffix('"') if value[:1] == '"' else value


def text(value: str) -> str:
    r"""Return the string that the kernel or auditd wrote, quoted or in hexadecimal.

    Bytes that are no UTF-8 become ``\xNN``, so that nothing is lost.

    Examples
    --------
    >>> text('"/bin/sh"'), text("2F62696E2F7368"), text("2f"), text("root")
    ('/bin/sh', '/bin/sh', '2f', 'root')
    """
    if value[:1] == '"':
        return value[1:].removesuffix('"')
    if len(value) % 2 or not value.isalnum() or not value.isascii() or value != value.upper():
        return value
    try:
        return bytes.fromhex(value).decode("utf-8", "backslashreplace")
    except ValueError:
        return value


def lines_of(unit: bytes) -> list[bytes]:
    """Cut a unit into lines without the empty ones.

    Raises
    ------
    DecodeError
        A NUL inside a line: no audit log contains one.
    """
    if b"\0" in unit:
        # A crash leaves blocks of NULs between records of a preallocated log.
        unit = unit.strip(b"\0")
        if b"\0" in unit:
            raise DecodeError(
                "nul", "expected lines of an audit log, found a NUL byte: remove it and push again"
            )
    return [line for line in unit.splitlines() if line and not line.isspace()]
