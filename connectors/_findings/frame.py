"""The OCSF objects of findings, from values of any type: what is not right is left out."""

from __future__ import annotations

from typing import Any, Final

from connectors._findings.severity import cwes
from connectors._json.fields import some
from connectors.base import OCSF
from schemas.ocsf import SEVERITY_NAMES

LONGEST: Final = 8192
"""Characters kept of one text; the raw record has all of it."""
MOST: Final = 64
"""Entries kept of one list."""
PASS, WARNING, FAIL = 1, 2, 3
#: OCSF ``compliance.status_id`` by the words of the scanners.
RESULTS: Final = {
    **dict.fromkeys(("pass", "passed", "ok", "success", "compliant", "skipped by rule"), PASS),
    **dict.fromkeys(("warn", "warning", "manual", "info", "irrelevant"), WARNING),
    **dict.fromkeys(("fail", "failed", "failure", "error", "non_compliant"), FAIL),
}
RESULT_NAMES: Final = {0: "Unknown", PASS: "Pass", WARNING: "Warning", FAIL: "Fail"}


def word(value: Any) -> str:
    """Return a text, or a number as text; empty where it is neither."""
    if isinstance(value, str):
        return value[:LONGEST]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)[:64]
    return ""


def words(value: Any) -> list[str]:
    """Return the texts of a list, or of one text; each once, in order."""
    listed = value if isinstance(value, list) else [value]
    return list(dict.fromkeys(found for item in listed if (found := word(item))))[:MOST]


def inside(value: Any, *names: str) -> Any:
    """Return what is at a path of names in nested objects; None where there is nothing."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def number(value: Any) -> int | None:
    """Return a line or column: a whole number that OCSF's ``integer_t`` holds."""
    good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31
    return value if good else None


def result(value: Any) -> int:
    """Return the ``compliance.status_id`` that a scanner's word says; 0 where none."""
    return RESULTS.get(value.strip().lower(), 0) if isinstance(value, str) else 0


def resource(uid: str, name: str = "", kind: str = "", **more: Any) -> list[OCSF]:
    """Return ``resources``; empty where the thing has neither id nor name."""
    if not (uid or name):
        return []
    return [some(uid=uid, name=name or uid, type=kind, **more)]


def remediation(desc: str, references: Any = ()) -> OCSF | None:
    """Return ``remediation``; None where there is nothing to say."""
    listed = words(list(references) if isinstance(references, tuple) else references)
    if not (desc or listed):
        return None
    return some(desc=desc or "See the references.", references=listed)


def file(path: str) -> OCSF:
    """Return a ``file`` of a path."""
    name = path.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return {"name": name or path or "unknown", "path": path, "type_id": 1, "type": "Regular File"}


def affected_code(path: str, lines: tuple[Any, Any], rule: str = "", **more: Any) -> list[OCSF]:
    """Return ``affected_code``: the file, from the first to the last line."""
    if not path:
        return []
    start, end = number(lines[0]), number(lines[1])
    named = {"uid": rule} if rule else None
    return [some(file=file(path), start_line=start, end_line=end, rule=named, **more)]


def compliance(control: str, outcome: int, desc: str, standards: list[str], **more: Any) -> OCSF:
    """Return ``compliance``: which control, of which standards, with what outcome."""
    return some(
        control=control,
        desc=desc,
        standards=standards or ["unknown"],
        status=RESULT_NAMES[outcome],
        status_id=outcome,
        **more,
    )


def vulnerability(uid: str, weaknesses: Any = None, **more: Any) -> OCSF:
    """Return a ``vulnerability``: a CVE by ``cve``, any other id as an ``advisory``.

    ``cvss``, ``epss``, ``created_time`` and ``modified_time`` belong to either's object or
    are left out where OCSF has no place for them.
    """
    dated = some(
        created_time=more.pop("created_time", None), modified_time=more.pop("modified_time", None)
    )
    related = cwes(weaknesses)
    scored = some(cvss=more.pop("cvss", None), epss=more.pop("epss", None))
    if uid.upper().startswith("CVE-"):
        return some(cve=some(uid=uid, related_cwes=related, **scored, **dated), **more)
    plain = {"related_cves": [{"uid": uid} | scored]} if scored else {}
    return some(advisory=some(uid=uid, related_cwes=related, **plain, **dated), **more)


def severity_of(severity_id: int) -> str:
    """Return the name of a severity, for the objects that repeat it."""
    return SEVERITY_NAMES[severity_id]


def cvss(version: str, score: Any, vector: Any, vendor: str = "") -> list[OCSF]:
    """Return ``cvss`` of one score; empty where there is none."""
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 10:
        return []
    return [
        some(
            base_score=float(score),
            version=version,
            vector_string=word(vector),
            vendor_name=vendor,
        )
    ]


def vector_version(vector: Any, otherwise: str) -> str:
    """Return the version of CVSS that a vector string begins with.

    >>> vector_version("CVSS:3.1/AV:N/AC:L", "2.0"), vector_version("AV:N/AC:L", "2.0")
    ('3.1', '2.0')
    """
    begins = isinstance(vector, str) and vector.startswith("CVSS:")
    return vector[5:8] if begins else otherwise
