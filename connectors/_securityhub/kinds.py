"""What kind of finding one is, how severe, and in what state.

Sources: Security Hub User Guide, "AWS Security Finding Format (ASFF)", "Types taxonomy for
ASFF", "Severity" and "Workflow".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from connectors._findings.frame import words
from connectors.base import OCSF
from schemas.ocsf import COMPLIANCE_FINDING, DETECTION_FINDING, VULNERABILITY_FINDING

CREATE, UPDATE, CLOSE = 1, 2, 3
NEW, IN_PROGRESS, SUPPRESSED, RESOLVED, ARCHIVED = 1, 2, 3, 4, 5
_LABELS: Final = {"INFORMATIONAL": 1, "LOW": 2, "MEDIUM": 3, "HIGH": 4, "CRITICAL": 5}
#: ``Severity.Normalized`` from which on a severity begins.
_NORMALIZED: Final = ((90, 5), (70, 4), (40, 3), (1, 2), (0, 1))
_WORKFLOW: Final = {
    "NEW": NEW,
    "NOTIFIED": IN_PROGRESS,
    "SUPPRESSED": SUPPRESSED,
    "RESOLVED": RESOLVED,
}
_CHECKS: Final = "Software and Configuration Checks"
_FLAWS: Final = f"{_CHECKS}/Vulnerabilities"
#: Categories of the namespace ``TTPs`` that are tactics of ATT&CK by name.
_TACTICS: Final = {
    "Initial Access": "TA0001",
    "Execution": "TA0002",
    "Persistence": "TA0003",
    "Privilege Escalation": "TA0004",
    "Defense Evasion": "TA0005",
    "Credential Access": "TA0006",
    "Discovery": "TA0007",
    "Lateral Movement": "TA0008",
    "Collection": "TA0009",
    "Command and Control": "TA0011",
    "Exfiltration": "TA0010",
    "Impact": "TA0040",
}


def class_of(types: Sequence[str], vulnerabilities: Any, result: str) -> int:
    """Return the OCSF class: known vulnerabilities, a check with a result, else a detection.

    >>> class_of(["TTPs/Discovery"], None, ""), class_of([], None, "PASSED")
    (2004, 2003)
    """
    if vulnerabilities and vulnerabilities.__class__ in (list, str):
        return VULNERABILITY_FINDING
    if not result and any(kind.startswith(_FLAWS) for kind in types):
        return VULNERABILITY_FINDING
    if result or any(kind.startswith(_CHECKS) for kind in types):
        return COMPLIANCE_FINDING
    return DETECTION_FINDING


def severity(label: Any, normalized: Any) -> int:
    """Return the OCSF severity; 0 where the finding has none.

    >>> severity("HIGH", 10), severity(None, 70), severity("?", None), severity(None, 0)
    (4, 4, 0, 1)
    """
    found = _LABELS.get(label.upper(), 0) if isinstance(label, str) else 0
    if found or normalized.__class__ not in (int, float):
        return found
    return next((level for least, level in _NORMALIZED if normalized >= least), 0)


def status(workflow: str, record: str) -> int:
    """Return the OCSF status: archived by its provider, else as far as people are with it."""
    return ARCHIVED if record == "ARCHIVED" else _WORKFLOW.get(workflow, NEW)


def activity(status_id: int, fresh: bool) -> int:
    """Return the OCSF activity."""
    if status_id in (RESOLVED, ARCHIVED):
        return CLOSE
    return CREATE if fresh else UPDATE


def attacks(types: Any) -> list[OCSF]:
    """Return the tactics that types of the namespace ``TTPs`` name.

    >>> attacks(["TTPs/Defense Evasion/Stealth:IAMUser-LoggingDisabled"])
    [{'tactic': {'name': 'Defense Evasion', 'uid': 'TA0005'}}]
    """
    named = [kind.split("/")[1] for kind in words(types) if kind.startswith("TTPs/")]
    return [
        {"tactic": {"name": name, "uid": _TACTICS[name]}}
        for name in dict.fromkeys(named)
        if name in _TACTICS
    ]
