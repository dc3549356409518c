"""What an operation of Azure Resource Manager is in OCSF.

Names are ``<provider>/<types>/<verb>``, such as ``Microsoft.Compute/disks/write``, in any case;
verbs are read, write, delete and action, an action is named by the part before it.

Source: Microsoft, "Azure resource provider operations".
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from schemas.ocsf import API_ACTIVITY, OTHER, USER_ACCESS

CREATE, READ, UPDATE, DELETE = 1, 2, 3, 4
ASSIGN, REVOKE = 1, 2
_ACCESS: Final = {
    "microsoft.authorization/roleassignments/write": ASSIGN,
    "microsoft.authorization/roleassignments/delete": REVOKE,
    "microsoft.authorization/elevateaccess/action": ASSIGN,
    "microsoft.authorization/roleassignmentschedulerequests/write": ASSIGN,
    "microsoft.authorization/roleeligibilityschedulerequests/write": ASSIGN,
}
_VERBS: Final = {"read": READ, "write": UPDATE, "delete": DELETE}
_ACTIONS: Final = (
    (re.compile("list|get|read|download|check|validate|query|search|export|show|evaluate"), READ),
    (re.compile("delete|purge|remove|deallocate"), DELETE),
    (re.compile("create|add|register|import|generate|invite|upload|clone|copy|restore"), CREATE),
    (
        re.compile(
            "set|update|regenerate|renew|rotate|assign|attach|detach|enable|disable|start|stop|"
            "restart|reset|move|resize|approve|reject|swap|sync|failover|recover|power|publish|join"
        ),
        UPDATE,
    ),
)


@lru_cache(maxsize=8192)
def classify(operation: str, created: bool = False) -> tuple[int, int]:
    """Return ``class_uid`` and ``activity_id`` of an operation.

    Parameters
    ----------
    created
        Whether the event says that what was written was not there before.
    """
    name = operation.lower()
    if name in _ACCESS:
        return USER_ACCESS, _ACCESS[name]
    parts = name.rstrip("/").split("/")
    verb = _VERBS.get(parts[-1])
    if verb is not None:
        return API_ACTIVITY, CREATE if created and verb == UPDATE else verb
    action = parts[-2] if parts[-1] == "action" and len(parts) > 1 else parts[-1]
    found = (activity for pattern, activity in _ACTIONS if pattern.match(action))
    return API_ACTIVITY, next(found, OTHER)
