"""The OCSF class and activity of each of Okta's event types.

Okta names some thousand event types ``subject.part.verb``. Those that OCSF has an activity
for are named here, the others take their class from how they begin and their activity from
their verb, so that an event type that Okta adds tomorrow has a class too.

Source: Okta Developer, "Event types"; OCSF's mapping examples for Okta.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from schemas.ocsf import (
    ACCOUNT_CHANGE,
    API_ACTIVITY,
    AUTHENTICATION,
    DETECTION_FINDING,
    ENTITY_MANAGEMENT,
    GROUP_MANAGEMENT,
    OTHER,
    USER_ACCESS,
)

_LOGON, _LOGOFF, _PREAUTH, _SWITCH = 1, 2, 6, 7
_CREATE, _READ, _UPDATE, _DELETE = 1, 2, 3, 4

_EXACT: Final[dict[str, tuple[int, int]]] = {
    "policy.evaluate_sign_on": (AUTHENTICATION, _PREAUTH),
    "user.authentication.slo": (AUTHENTICATION, _LOGOFF),
    "user.authentication.universal_logout": (AUTHENTICATION, _LOGOFF),
    "user.session.access_admin_app": (AUTHENTICATION, _LOGON),
    "user.session.clear": (AUTHENTICATION, _LOGOFF),
    "user.session.end": (AUTHENTICATION, _LOGOFF),
    "user.session.expire": (AUTHENTICATION, _LOGOFF),
    "user.session.impersonation.initiate": (AUTHENTICATION, _SWITCH),
    "user.session.impersonation.end": (AUTHENTICATION, _LOGOFF),
    "user.session.start": (AUTHENTICATION, _LOGON),
    "user.lifecycle.create": (ACCOUNT_CHANGE, 1),
    "user.lifecycle.activate": (ACCOUNT_CHANGE, 2),
    "user.lifecycle.reactivate": (ACCOUNT_CHANGE, 2),
    "user.lifecycle.unsuspend": (ACCOUNT_CHANGE, 2),
    "user.account.update_password": (ACCOUNT_CHANGE, 3),
    "user.account.expire_password": (ACCOUNT_CHANGE, 4),
    "user.account.reset_password": (ACCOUNT_CHANGE, 4),
    "user.lifecycle.deactivate": (ACCOUNT_CHANGE, 5),
    "user.lifecycle.suspend": (ACCOUNT_CHANGE, 5),
    "user.lifecycle.delete.completed": (ACCOUNT_CHANGE, 6),
    "user.lifecycle.delete.initiated": (ACCOUNT_CHANGE, 6),
    "user.account.lock": (ACCOUNT_CHANGE, 9),
    "user.account.lock.limit": (ACCOUNT_CHANGE, 9),
    "system.mfa.factor.activate": (ENTITY_MANAGEMENT, 10),
    "system.mfa.factor.deactivate": (ENTITY_MANAGEMENT, 11),
    "user.mfa.factor.activate": (ACCOUNT_CHANGE, 10),
    "user.mfa.factor.unsuspend": (ACCOUNT_CHANGE, 10),
    "user.mfa.factor.deactivate": (ACCOUNT_CHANGE, 11),
    "user.mfa.factor.reset_all": (ACCOUNT_CHANGE, 11),
    "user.mfa.factor.suspend": (ACCOUNT_CHANGE, 11),
    "user.account.unlock": (ACCOUNT_CHANGE, 12),
    "user.account.unlock_by_admin": (ACCOUNT_CHANGE, 12),
    "user.account.unlock_token": (ACCOUNT_CHANGE, OTHER),
    "user.account.privilege.grant": (USER_ACCESS, 1),
    "user.account.privilege.revoke": (USER_ACCESS, 2),
    "user.session.impersonation.grant": (USER_ACCESS, 1),
    "user.session.impersonation.extend": (USER_ACCESS, 1),
    "user.session.impersonation.revoke": (USER_ACCESS, 2),
    "application.user_membership.add": (USER_ACCESS, 1),
    "application.user_membership.remove": (USER_ACCESS, 2),
    "iam.resourceset.bindings.add": (USER_ACCESS, 1),
    "iam.resourceset.bindings.delete": (USER_ACCESS, 2),
    "group.lifecycle.create": (GROUP_MANAGEMENT, 6),
    "group.lifecycle.delete": (GROUP_MANAGEMENT, 5),
    "group.privilege.grant": (GROUP_MANAGEMENT, 1),
    "group.privilege.revoke": (GROUP_MANAGEMENT, 2),
    "group.application_assignment.add": (GROUP_MANAGEMENT, 1),
    "group.application_assignment.remove": (GROUP_MANAGEMENT, 2),
    "group.user_membership.add": (GROUP_MANAGEMENT, 3),
    "group.user_membership.remove": (GROUP_MANAGEMENT, 4),
    "security.threat.detected": (DETECTION_FINDING, _CREATE),
    "user.account.report_suspicious_activity_by_enduser": (DETECTION_FINDING, _CREATE),
    "user.risk.detect": (DETECTION_FINDING, _CREATE),
}
#: How an event type begins, and the class of all that begin so; the first that fits.
_PREFIXES: Final = (
    ("user.authentication.", AUTHENTICATION),
    ("user.mfa.attempt", AUTHENTICATION),
    ("user.account.", ACCOUNT_CHANGE),
    ("user.lifecycle.", ACCOUNT_CHANGE),
    ("user.mfa.", ACCOUNT_CHANGE),
    ("group.", GROUP_MANAGEMENT),
    ("security.attack.", DETECTION_FINDING),
    ("security.breached_credential.", DETECTION_FINDING),
    ("policy.", ENTITY_MANAGEMENT),
    ("zone.", ENTITY_MANAGEMENT),
    ("device.", ENTITY_MANAGEMENT),
    ("application.lifecycle.", ENTITY_MANAGEMENT),
    ("application.policy.", ENTITY_MANAGEMENT),
    ("system.idp.", ENTITY_MANAGEMENT),
    ("iam.", ENTITY_MANAGEMENT),
)
#: The last word of an event type. Of API Activity only the first four are activities.
_VERBS: Final = {
    "create": _CREATE,
    "add": _CREATE,
    "issue": _CREATE,
    "grant": _CREATE,
    "view": _READ,
    "read": _READ,
    "show": _READ,
    "show_password": _READ,
    "download": _READ,
    "export": _READ,
    "update": _UPDATE,
    "change": _UPDATE,
    "modify": _UPDATE,
    "rotate": _UPDATE,
    "delete": _DELETE,
    "remove": _DELETE,
    "revoke": _DELETE,
    "enroll": 6,
    "unenroll": 7,
    "enable": 8,
    "disable": 9,
    "activate": 10,
    "deactivate": 11,
    "suspend": 12,
    "unsuspend": 13,
}


@lru_cache(4096)
def classify(event_type: str) -> tuple[int, int]:
    """Return class and activity of an event type, known or not."""
    if found := _EXACT.get(event_type):
        return found
    class_uid = next((uid for start, uid in _PREFIXES if event_type.startswith(start)), 0)
    if class_uid == AUTHENTICATION:
        return class_uid, _LOGON
    if class_uid == DETECTION_FINDING:
        return class_uid, _CREATE
    if class_uid in (ACCOUNT_CHANGE, GROUP_MANAGEMENT):
        return class_uid, OTHER
    activity = _VERBS.get(event_type.rpartition(".")[2], OTHER)
    if class_uid == ENTITY_MANAGEMENT:
        return class_uid, activity
    return API_ACTIVITY, activity if activity <= _DELETE else OTHER
