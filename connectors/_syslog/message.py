"""One syslog message, of RFC 5424 or of RFC 3164 as it is written in practice.

RFC 3164 is a description of habits. Read are: no priority (files of rsyslog), a time without
year and zone, a year after the day, a zone after the time, an ISO 8601 time in place of it,
no program. What is missing is filled in by rule:

- **Year**: the one that brings the time closest to now without being more than a day ahead
  of it, so that December read in January is of last year. A log kept for more than a year is
  dated wrongly: write ISO 8601 times (rsyslog: ``RSYSLOG_FileFormat``).
- **Zone**: UTC.

Text is UTF-8, and where it is not, Latin-1, in which anything is text; a BOM is left out.
Sources: RFC 5424, RFC 3164, RFC 6587.
"""

from __future__ import annotations

import re
import time
from calendar import timegm
from typing import Final, NamedTuple

from connectors._json.times import FUTURE_MS, milliseconds
from sentinel.errors import DecodeError, MappingError

MAX_BYTES: Final = 1 << 20
"""Largest message taken; RFC 5424 asks for 2048 octets, and some products write 64 KiB."""
_BOM: Final = "\ufeff"
_NIL: Final = "-"
_PRIORITIES: Final = 192  # 24 facilities of 8 severities
_DAY_S: Final = 86_400
_MONTHS: Final = {
    name: number + 1
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    )
}
_NEW: Final = re.compile(r"<(\d{1,3})>[1-9]\d? (\S+) (\S+) (\S+) (\S+) (\S+) (.*)", re.DOTALL)
_ELEMENT: Final = re.compile(r'\[([^ =\]"]{1,64})((?: [^ =\]"]{1,64}="(?:[^"\\\]]|\\.)*")*)\]')
_PARAMETER: Final = re.compile(r' ([^ =\]"]+)="((?:[^"\\\]]|\\.)*)"')
_ESCAPED: Final = re.compile(r'\\(["\\\]])')
_OLD: Final = re.compile(
    r"(?:<(\d{1,3})>)?\s?"
    r"(?:(?P<month>[A-Z][a-z]{2}) {1,2}(?P<day>\d{1,2}) (?:(?P<year>\d{4}) )?"
    r"(?P<clock>\d\d:\d\d:\d\d)(?P<part>\.\d+)?(?: (?P<zone>UTC|GMT|Z))?"
    r"|(?P<iso>\d{4}-\d\d-\d\dT\S+))"
    r"[: ](?:(?P<host>[^\s:\[\]]{1,255})|(?= \S+: )) (?P<rest>.*)",
    re.DOTALL,
)
#: A program's name may have spaces where a process id follows it (Google Chrome on macOS).
_TAG: Final = re.compile(
    r"(?P<app>[^\s:\[\]()]{1,128}(?=[:(\[])|[^:\[\]()]{1,128}(?=\[\d+\]))"
    r"(?:\([^)]*\))?(?:\[(?P<pid>\d{1,10})\])?(?: \([^)]*\))?: ?"
)
_REPEATED: Final = "---"


class Message(NamedTuple):
    """What a message says of itself; empty text where it does not.

    Attributes
    ----------
    facility, severity
        Numbers of RFC 5424; None where there is no priority.
    time
        Milliseconds since the epoch, UTC.
    data
        Structured data: parameters by element.
    text
        The message proper.
    format
        ``rfc5424`` or ``rfc3164``.
    """

    facility: int | None
    severity: int | None
    time: int
    host: str
    app: str
    pid: str
    message_id: str
    data: dict[str, dict[str, str]]
    text: str
    format: str


def parse(raw: bytes) -> Message:
    """Parse one message.

    Raises
    ------
    DecodeError
        ``too_large``, ``nul``, ``syslog``: it has no header of either format.
    MappingError
        ``timestamp`` or ``missing_field``: of its time.
    """
    if len(raw) > MAX_BYTES:
        raise DecodeError("too_large", f"expected at most {MAX_BYTES} bytes, found {len(raw)}")
    if b"\0" in raw:
        raise DecodeError("nul", f"expected text, found a NUL byte at {raw.index(0)}")
    try:
        line = raw.decode()
    except UnicodeDecodeError:
        line = raw.decode("latin-1")
    found = _NEW.match(line)
    return _new(found) if found else _old(line)


def _priority(digits: str | None) -> tuple[int | None, int | None]:
    if digits is None:
        return None, None
    number = int(digits)
    if number >= _PRIORITIES:
        raise DecodeError("syslog", f"expected a priority below {_PRIORITIES}, found {number}")
    return number >> 3, number & 7


def _new(found: re.Match[str]) -> Message:
    facility, severity = _priority(found[1])
    stamp, host, app, pid, message_id = (
        "" if part == _NIL else part for part in found.group(2, 3, 4, 5, 6)
    )
    data, text = _structured(found[7])
    when = milliseconds(stamp, "TIMESTAMP")
    return Message(facility, severity, when, host, app, pid, message_id, data, text, "rfc5424")


def _structured(rest: str) -> tuple[dict[str, dict[str, str]], str]:
    """Return structured data and what follows it; what is no such data is text."""
    data: dict[str, dict[str, str]] = {}
    if rest.startswith(_NIL):
        at = 1
    else:
        at = 0
        while element := _ELEMENT.match(rest, at):
            parameters = _PARAMETER.findall(element[2])
            data[element[1]] = {name: _ESCAPED.sub(r"\1", value) for name, value in parameters}
            at = element.end()
    return data, rest[at:].removeprefix(" ").removeprefix(_BOM)


def _old(line: str) -> Message:
    found = _OLD.match(line)
    if found is None:
        raise DecodeError(
            "syslog",
            "expected a syslog message (<34>1 2026-03-02T09:00:00Z host app - - - text, or "
            f"Mar  2 09:00:00 host app[1]: text), found {line[:60]!r}",
        )
    facility, severity = _priority(found[1])
    iso = found["iso"]
    when = milliseconds(iso.rstrip(":"), "time") if iso else _dated(found)
    host, rest = found["host"] or "", found["rest"]
    if host == _REPEATED:  # macOS: "--- last message repeated 1 time ---", of no host
        host, rest = "", f"{host} {rest}"
    tag = _TAG.match(rest)
    text = rest[tag.end() :] if tag else rest
    app, pid = (tag["app"], tag["pid"] or "") if tag else ("", "")
    return Message(facility, severity, when, host, app, pid, "", {}, text.strip(), "rfc3164")


def _dated(found: re.Match[str]) -> int:
    """Return a time without a zone, and mostly without a year."""
    month = _MONTHS.get(found["month"])
    day = int(found["day"])
    hours, minutes, seconds = map(int, found["clock"].split(":"))
    if month is None or not 1 <= day <= 31 or hours > 23 or minutes > 59 or seconds > 60:
        raise MappingError("timestamp", f"expected a time, found {found[0][:40]!r}")
    part = int(float(found["part"] or 0) * 1000)
    now = time.time()

    def at(year: int) -> int:
        return timegm((year, month or 1, day, hours, minutes, seconds)) * 1000 + part

    if found["year"]:
        return milliseconds(at(int(found["year"])), "time")
    year = time.gmtime(now).tm_year
    # The last of February is only there in some years, so the year after is asked, too.
    years = (at(year + 1), at(year))
    latest = now * 1000 + FUTURE_MS
    return milliseconds(next((when for when in years if when <= latest), at(year - 1)), "time")


def severity_id(severity: int | None) -> int:
    """Return OCSF's severity of syslog's; what has none is informational."""
    return _SEVERITIES[severity] if severity is not None else 1


#: Emergency, alert, critical, error, warning, notice, informational, debug.
_SEVERITIES: Final = (6, 5, 5, 4, 3, 1, 1, 1)
