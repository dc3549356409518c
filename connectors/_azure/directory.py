"""What an activity of the Entra ID directory is in OCSF.

The same names stand in the audit log of Entra ID (``Add member to role``) and, with a full
stop, in the unified audit log of Microsoft 365.

Source: Microsoft, "Microsoft Entra audit log categories and activities".
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from schemas.ocsf import (
    ACCOUNT_CHANGE,
    API_ACTIVITY,
    ENTITY_MANAGEMENT,
    GROUP_MANAGEMENT,
    OTHER,
    USER_ACCESS,
)

_ACCOUNT: Final = {
    1: ("add user", "invite external user", "invite internal user", "create user"),
    2: ("enable account", "enable user"),
    3: ("change user password", "change password", "change password (self-service)"),
    4: (
        *("reset user password", "reset password", "reset password (by admin)"),
        *("reset password (self-service)", "set force change user password"),
    ),
    5: ("disable account", "disable user", "block user from signing in"),
    6: ("delete user", "hard delete user"),
    10: (
        *("enable strong authentication", "user registered security info"),
        *("admin registered security info", "user registered all required security info"),
    ),
    11: (
        *("disable strong authentication", "user deleted security info"),
        "admin deleted security info",
    ),
    12: ("unlock user account", "unlock user account (self-service)"),
    OTHER: (
        *("update user", "restore user", "change user license", "update external secrets"),
        *("update stsrefreshtokenvalidfrom timestamp", "user changed default security info"),
        *("set user manager", "convert federated user to managed", "redeem external user invite"),
        *("user started security info registration", "bulk create users - finished (bulk)"),
    ),
}
_GROUP: Final = {
    1: ("add owner to group", "add app role assignment to group"),
    2: ("remove owner from group", "remove app role assignment from group"),
    3: ("add member to group",),
    4: ("remove member from group",),
    5: ("delete group", "hard delete group"),
    6: ("add group", "create group"),
    OTHER: ("update group", "set group license", "restore group", "set group managed by"),
}
_KNOWN: Final = {
    **{name: (ACCOUNT_CHANGE, activity) for activity, names in _ACCOUNT.items() for name in names},
    **{name: (GROUP_MANAGEMENT, activity) for activity, names in _GROUP.items() for name in names},
}
_ASSIGN, _REVOKE = 1, 2
_ACCESS: Final = (
    (
        re.compile(
            r"add (?:eligible |scoped |partner )?member\b.*(?:role|\()|"
            r"add (?:app role assignment|delegated permission grant)|consent to application|"
            r"add role assignment|assigns the caller to user access|"
            r"user has elevated their access"
        ),
        _ASSIGN,
    ),
    (
        re.compile(
            r"remove (?:eligible |scoped |permanent )?member\b.*(?:role|\()|"
            r"remove (?:app role assignment|delegated permission grant)|"
            r"(?:delete|remove) role assignment"
        ),
        _REVOKE,
    ),
)
_ENTITY: Final = re.compile(
    r"application|service principal|device|policy|policies|domain|tenant|company|named location|"
    r"role definition|role setting|partner|administrative unit|certificat|credential|label|"
    r"directory feature|\brole\b|credentials|branding|authentication method|identity provider|"
    r"federation|contract"
)
_VERBS: Final = (  # the verb that a name begins with, activity of Entity Management, of API
    (re.compile(r"(?:hard )?delete|remove(?! \w+ from)|purge"), 4, 4),
    (re.compile(r"(?:un|de)register|remove registered"), 7, 4),
    (re.compile(r"register"), 6, 1),
    (
        re.compile(r"add (?!owner|registered|credential|service principal cred|password|\w+ to )"),
        1,
        1,
    ),
    (re.compile(r"create|invite|new"), 1, 1),
    (re.compile(r"enable|activate"), 8, 3),
    (re.compile(r"disable|deactivate"), 9, 3),
    (re.compile(r"get|read|list|view|search|download|export|test|check|validate"), 2, 2),
    (re.compile(r"add|update|set|change|remove|assign|modify|restore|move|verify|promote"), 3, 3),
)


@lru_cache(maxsize=8192)
def classify(activity: str) -> tuple[int, int]:
    """Return ``class_uid`` and ``activity_id`` of an activity of the directory."""
    name = activity.lower().strip(" .")
    known = _KNOWN.get(name)
    if known is not None:
        return known
    for pattern, activity_id in _ACCESS:
        if pattern.match(name):
            return USER_ACCESS, activity_id
    found = next((row for row in _VERBS if row[0].match(name)), (None, OTHER, OTHER))
    if _ENTITY.search(name):
        return ENTITY_MANAGEMENT, found[1]
    return API_ACTIVITY, found[2]
