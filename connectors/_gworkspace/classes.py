"""The OCSF class and activity of an event of Google Workspace.

Source: Google Workspace Admin SDK, "Reports API: activity event names", one page for each
application.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from schemas.ocsf import (
    ACCOUNT_CHANGE,
    API_ACTIVITY,
    AUTHENTICATION,
    DETECTION_FINDING,
    FILE_HOSTING,
    GROUP_MANAGEMENT,
    OTHER,
    USER_ACCESS,
)

_CREATE, _READ, _UPDATE, _DELETE = 1, 2, 3, 4
_LOGON, _LOGOFF, _PREAUTH = 1, 2, 6

#: Of the application ``login``, and of ``user_accounts`` and ``saml``, whose names are alike.
_LOGIN: Final = {
    "login_challenge": (AUTHENTICATION, _PREAUTH),
    "login_failure": (AUTHENTICATION, _LOGON),
    "login_success": (AUTHENTICATION, _LOGON),
    "login_verification": (AUTHENTICATION, _PREAUTH),
    "logout": (AUTHENTICATION, _LOGOFF),
    "risky_sensitive_action_allowed": (AUTHENTICATION, OTHER),
    "risky_sensitive_action_blocked": (AUTHENTICATION, OTHER),
    "2sv_disable": (ACCOUNT_CHANGE, 11),
    "2sv_enroll": (ACCOUNT_CHANGE, 10),
    "account_disabled_generic": (ACCOUNT_CHANGE, 5),
    "account_disabled_hijacked": (ACCOUNT_CHANGE, 5),
    "account_disabled_password_leak": (ACCOUNT_CHANGE, 5),
    "account_disabled_spamming": (ACCOUNT_CHANGE, 5),
    "account_disabled_spamming_through_relay": (ACCOUNT_CHANGE, 5),
    "email_forwarding_out_of_domain": (ACCOUNT_CHANGE, OTHER),
    "password_edit": (ACCOUNT_CHANGE, 3),
    "recovery_email_edit": (ACCOUNT_CHANGE, OTHER),
    "recovery_phone_edit": (ACCOUNT_CHANGE, OTHER),
    "recovery_secret_qa_edit": (ACCOUNT_CHANGE, OTHER),
    "titanium_enroll": (ACCOUNT_CHANGE, OTHER),
    "titanium_unenroll": (ACCOUNT_CHANGE, OTHER),
    "gov_attack_warning": (DETECTION_FINDING, _CREATE),
    "suspicious_login": (DETECTION_FINDING, _CREATE),
    "suspicious_login_less_secure_app": (DETECTION_FINDING, _CREATE),
    "suspicious_programmatic_login": (DETECTION_FINDING, _CREATE),
    "user_signed_out_due_to_suspicious_session_cookie": (DETECTION_FINDING, _CREATE),
}
_ADMIN: Final = {
    "CREATE_USER": (ACCOUNT_CHANGE, 1),
    "UNDELETE_USER": (ACCOUNT_CHANGE, 1),
    "UNSUSPEND_USER": (ACCOUNT_CHANGE, 2),
    "CHANGE_PASSWORD": (ACCOUNT_CHANGE, 4),
    "CHANGE_PASSWORD_ON_NEXT_LOGIN": (ACCOUNT_CHANGE, 4),
    "ARCHIVE_USER": (ACCOUNT_CHANGE, 5),
    "SUSPEND_USER": (ACCOUNT_CHANGE, 5),
    "DELETE_USER": (ACCOUNT_CHANGE, 6),
    "TURN_OFF_2_STEP_VERIFICATION": (ACCOUNT_CHANGE, 11),
    "UNENROLL_USER_FROM_STRONG_AUTH": (ACCOUNT_CHANGE, 11),
    "UNENROLL_USER_FROM_TITANIUM": (ACCOUNT_CHANGE, OTHER),
    "RENAME_USER": (ACCOUNT_CHANGE, OTHER),
    "ASSIGN_ROLE": (USER_ACCESS, 1),
    "GRANT_ADMIN_PRIVILEGE": (USER_ACCESS, 1),
    "GRANT_DELEGATED_ADMIN_PRIVILEGES": (USER_ACCESS, 1),
    "REVOKE_ADMIN_PRIVILEGE": (USER_ACCESS, 2),
    "UNASSIGN_ROLE": (USER_ACCESS, 2),
    "ADD_GROUP_MEMBER": (GROUP_MANAGEMENT, 3),
    "REMOVE_GROUP_MEMBER": (GROUP_MANAGEMENT, 4),
    "DELETE_GROUP": (GROUP_MANAGEMENT, 5),
    "CREATE_GROUP": (GROUP_MANAGEMENT, 6),
    "UPDATE_GROUP_MEMBER": (GROUP_MANAGEMENT, OTHER),
}
_GROUPS: Final = {
    "accept_invitation": 3,
    "add_member": 3,
    "add_user": 3,
    "approve_join_request": 3,
    "create_group": 6,
    "delete_group": 5,
    "join": 3,
    "remove_member": 4,
    "remove_user": 4,
    "ban_user_with_moderation": 4,
    "add_security_setting": OTHER,
}
_DRIVE: Final = {
    "access_item_content": 14,
    "add_lock": 10,
    "copy": 6,
    "create": 1,
    "delete": 4,
    "download": 2,
    "edit": 3,
    "move": 7,
    "preview": 9,
    "print": 2,
    "remove_lock": 11,
    "rename": 5,
    "source_copy": 6,
    "sync_item_content": 15,
    "trash": 4,
    "untrash": 8,
    "upload": 1,
    "view": 14,
}
#: Events of Drive that change who may see a file. Their ``visibility_change`` tells which way.
_SHARING: Final = ("change_", "shared_drive_membership_change", "sheets_import")
_TOKEN: Final = {"authorize": (USER_ACCESS, 1), "revoke": (USER_ACCESS, 2)}
_VERBS: Final = (
    (("create", "add", "assign", "authorize", "insert", "upload", "grant", "start"), _CREATE),
    (("view", "download", "list", "get", "read", "search", "export", "print"), _READ),
    (("change", "update", "rename", "edit", "toggle", "move", "set", "enforce", "allow"), _UPDATE),
    (("delete", "remove", "revoke", "unassign", "cancel", "trash"), _DELETE),
)
_FAILED: Final = ("login_failure", "risky_sensitive_action_blocked")


@lru_cache(8192)
def classify(application: str, name: str, visibility: str = "") -> tuple[int, int]:
    """Return class and activity of an event, known or not.

    Parameters
    ----------
    application
        ``login``, ``admin``, ``drive`` …: ``id.applicationName``.
    name
        The event's name.
    visibility
        Of Drive: the parameter ``visibility_change``.
    """
    if application in ("login", "saml", "user_accounts") and name in _LOGIN:
        return _LOGIN[name]
    if application == "admin" and name in _ADMIN:
        return _ADMIN[name]
    if application == "token" and name in _TOKEN:
        return _TOKEN[name]
    if application in ("groups", "groups_enterprise"):
        return GROUP_MANAGEMENT, _GROUPS.get(name, OTHER)
    if application == "drive":
        return FILE_HOSTING, _DRIVE.get(name) or _shared(name, visibility)
    if application in ("login", "saml"):
        return AUTHENTICATION, OTHER
    if application == "user_accounts":
        return ACCOUNT_CHANGE, OTHER
    low = name.lower()
    return API_ACTIVITY, next((act for starts, act in _VERBS if low.startswith(starts)), OTHER)


def _shared(name: str, visibility: str) -> int:
    if not name.startswith(_SHARING):
        return OTHER
    return 13 if visibility == "internal" else 12


def failed(name: str) -> bool:
    """Say whether an event is the refusal of something."""
    return name in _FAILED
