"""Which OCSF class and activity a method of a Google Cloud API is.

Sources: Google Cloud, "Audit logs by service" (IAM, login, groups, STS), "AuditData" (policy
deltas).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from schemas.ocsf import (
    ACCOUNT_CHANGE,
    API_ACTIVITY,
    AUTHENTICATION,
    DETECTION_FINDING,
    GROUP_MANAGEMENT,
    OTHER,
    USER_ACCESS,
)

CREATE, READ, UPDATE, DELETE = 1, 2, 3, 4
ASSIGN, REVOKE = 1, 2
_LOGON, _LOGOFF, _TICKET, _PREAUTH = 1, 2, 3, 6
#: By the last part of the method, in lower case.
_LOGIN: Final = {
    **{"loginsuccess": (AUTHENTICATION, _LOGON), "loginfailure": (AUTHENTICATION, _LOGON)},
    **{"logout": (AUTHENTICATION, _LOGOFF), "loginverification": (AUTHENTICATION, _PREAUTH)},
    **{"loginchallenge": (AUTHENTICATION, _PREAUTH), "2svenroll": (ACCOUNT_CHANGE, 10)},
    **{"titaniumenroll": (ACCOUNT_CHANGE, OTHER), "2svdisable": (ACCOUNT_CHANGE, 11)},
    **{"passwordedit": (ACCOUNT_CHANGE, 3), "recoveryemailedit": (ACCOUNT_CHANGE, OTHER)},
    "riskysensitiveactionallowed": (AUTHENTICATION, OTHER),
    **{"recoveryphoneedit": (ACCOUNT_CHANGE, OTHER), "govattackwarning": (DETECTION_FINDING, 1)},
    "emailforwardingoutofdomain": (DETECTION_FINDING, 1),
    **dict.fromkeys(
        (
            *("suspiciouslogin", "suspiciousloginlesssecureapp", "suspiciousprogrammaticlogin"),
            *("accountdisabledpasswordleak", "accountdisabledhijacked"),
            *("accountdisabledspamming", "accountdisabledspammingthroughrelay"),
            "accountdisabledgeneric",
        ),
        (DETECTION_FINDING, 1),
    ),
}
_IAM: Final = {
    **{"createserviceaccount": (ACCOUNT_CHANGE, 1), "enableserviceaccount": (ACCOUNT_CHANGE, 2)},
    **{"disableserviceaccount": (ACCOUNT_CHANGE, 5), "deleteserviceaccount": (ACCOUNT_CHANGE, 6)},
    **dict.fromkeys(
        (
            *("undeleteserviceaccount", "updateserviceaccount", "patchserviceaccount"),
            *("createserviceaccountkey", "deleteserviceaccountkey", "uploadserviceaccountkey"),
            *("enableserviceaccountkey", "disableserviceaccountkey"),
        ),
        (ACCOUNT_CHANGE, OTHER),
    ),
}
_TOKENS: Final = dict.fromkeys(
    (
        *("generateaccesstoken", "generateidtoken", "signjwt", "signblob", "exchangetoken"),
        *("generateoauthaccesstoken", "generateserviceaccounttoken"),
    ),
    (AUTHENTICATION, _TICKET),
)
_DIRECTORY: Final = {
    **{"createuser": (ACCOUNT_CHANGE, 1), "unsuspenduser": (ACCOUNT_CHANGE, 2)},
    **{"changepassword": (ACCOUNT_CHANGE, 4), "suspenduser": (ACCOUNT_CHANGE, 5)},
    **{"deleteuser": (ACCOUNT_CHANGE, 6), "addgroupmember": (GROUP_MANAGEMENT, 3)},
    **{"createmembership": (GROUP_MANAGEMENT, 3), "removegroupmember": (GROUP_MANAGEMENT, 4)},
    **{"deletemembership": (GROUP_MANAGEMENT, 4), "deletegroup": (GROUP_MANAGEMENT, 5)},
    **{"creategroup": (GROUP_MANAGEMENT, 6), "updategroupmember": (GROUP_MANAGEMENT, OTHER)},
    **{"updatemembership": (GROUP_MANAGEMENT, OTHER), "updategroup": (GROUP_MANAGEMENT, OTHER)},
    **{"grantdelegatedadminprivileges": (USER_ACCESS, ASSIGN), "assignrole": (USER_ACCESS, ASSIGN)},
    **{"grantadminprivilege": (USER_ACCESS, ASSIGN), "unassignrole": (USER_ACCESS, REVOKE)},
    "revokeadminprivilege": (USER_ACCESS, REVOKE),
}
_SERVICES: Final = {
    "login.googleapis.com": _LOGIN,
    "iam.googleapis.com": _IAM,
    "iamcredentials.googleapis.com": _TOKENS,
    "sts.googleapis.com": _TOKENS,
    "admin.googleapis.com": _DIRECTORY,
    "cloudidentity.googleapis.com": _DIRECTORY,
}
_VERBS: Final = (
    (
        re.compile(
            "get|list|search|query|read|fetch|test|check|watch|aggregatedlist|lookup|download|"
            "describe|export|batchget|preview|analyze|access|count|tail|select"
        ),
        READ,
    ),
    (
        re.compile(
            "create|insert|add|import|generate|upload|register|submit|start|run|copy|deploy"
        ),
        CREATE,
    ),
    (re.compile("delete|remove|destroy|purge|batchdelete|uninstall"), DELETE),
    (
        re.compile(
            "update|patch|set|replace|enable|disable|modify|move|rotate|stop|reset|resize|attach|"
            "detach|undelete|cancel|write|bind|approve|invalidate|suspend|resume|restore"
        ),
        UPDATE,
    ),
)


@lru_cache(maxsize=16384)
def classify(service: str, method: str, delta: str) -> tuple[int, int]:
    """Return ``class_uid`` and ``activity_id`` of a method.

    Parameters
    ----------
    service, method
        ``serviceName`` and ``methodName``.
    delta
        What it did to a policy: ``ADD`` if it gave anyone a role, ``REMOVE`` if it only took
        some, empty where it did neither.
    """
    if delta:
        return USER_ACCESS, ASSIGN if delta == "ADD" else REVOKE
    last = re.split(r"[./:]", method)[-1].lower()
    known = _SERVICES.get(service, {}).get(last)
    if known is not None:
        return known
    found = (activity for pattern, activity in _VERBS if pattern.match(last))
    return API_ACTIVITY, next(found, OTHER)
