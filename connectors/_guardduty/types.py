"""What a finding's type says, and how GuardDuty's severities and spellings translate.

A type is ``ThreatPurpose:ResourceTypeAffected/ThreatFamilyName.DetectionMechanism!Artifact``.

Sources: GuardDuty User Guide, "GuardDuty finding format" and "Severity levels"; MITRE ATT&CK
v17, Enterprise tactics.
"""

from __future__ import annotations

from typing import Any, Final

from connectors.base import OCSF

#: Purposes that are ATT&CK tactics by name; the others (Backdoor, Policy, Trojan…) are none.
_TACTICS: Final = {
    "CredentialAccess": ("TA0006", "Credential Access"),
    "DefenseEvasion": ("TA0005", "Defense Evasion"),
    "Discovery": ("TA0007", "Discovery"),
    "Execution": ("TA0002", "Execution"),
    "Exfiltration": ("TA0010", "Exfiltration"),
    "Impact": ("TA0040", "Impact"),
    "InitialAccess": ("TA0001", "Initial Access"),
    "Persistence": ("TA0003", "Persistence"),
    "PrivilegeEscalation": ("TA0004", "Privilege Escalation"),
    "Recon": ("TA0043", "Reconnaissance"),
}
_LEVELS: Final = ((9.0, 5), (7.0, 4), (4.0, 3), (1.0, 2))


def severity(value: Any) -> int:
    """Return the OCSF severity of GuardDuty's number, 1.0 to 10.0; 0 where it is none.

    >>> [severity(value) for value in (9.5, 8, 5, 2.0, 0.5, "8", None)]
    [5, 4, 3, 2, 1, 0, 0]
    """
    if value.__class__ not in (int, float):
        return 0
    return next((found for least, found in _LEVELS if value >= least), 1)


def attacks(kind: str) -> list[OCSF]:
    """Return the tactic that the purpose of a finding is.

    >>> attacks("Discovery:S3/MaliciousIPCaller.Custom")
    [{'tactic': {'name': 'Discovery', 'uid': 'TA0007'}}]
    >>> attacks("Backdoor:EC2/C&CActivity.B")
    []
    """
    found = _TACTICS.get(kind.partition(":")[0])
    return [{"tactic": {"name": found[1], "uid": found[0]}}] if found else []


def lower_camel(value: Any) -> Any:
    """Return a finding as boto3 spells it (``UpdatedAt``) the way GuardDuty does (``updatedAt``).

    Keys of maps that are data, such as tags, are not told apart: their values are kept.
    """
    if isinstance(value, dict):
        return {key[:1].lower() + key[1:]: lower_camel(item) for key, item in value.items()}
    if isinstance(value, list):
        return [lower_camel(item) for item in value]
    return value
