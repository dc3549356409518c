"""The OCSF class and activity of GitHub's audit actions.

GitHub names some thousand actions ``category.what_was_done``, and says of each what kind of
operation it is. Those that OCSF has a class of its own for are named here.

Source: GitHub documentation, "Audit log events for your organization" and "… enterprise".
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from schemas.ocsf import (
    ACCOUNT_CHANGE,
    API_ACTIVITY,
    AUTHENTICATION,
    GROUP_MANAGEMENT,
    OTHER,
    USER_ACCESS,
)

_CREATE, _READ, _UPDATE, _DELETE = 1, 2, 3, 4
_LOGON, _LOGOFF = 1, 2
_ASSIGN, _REVOKE = 1, 2

_EXACT: Final[dict[str, tuple[int, int]]] = {
    "business.sso_response": (AUTHENTICATION, _LOGON),
    "org.sso_response": (AUTHENTICATION, _LOGON),
    "user.failed_login": (AUTHENTICATION, _LOGON),
    "user.login": (AUTHENTICATION, _LOGON),
    "user.logout": (AUTHENTICATION, _LOGOFF),
    "two_factor_authentication.disabled": (ACCOUNT_CHANGE, 11),
    "two_factor_authentication.enabled": (ACCOUNT_CHANGE, 10),
    "user.change_password": (ACCOUNT_CHANGE, 3),
    "user.create": (ACCOUNT_CHANGE, 1),
    "user.delete": (ACCOUNT_CHANGE, 6),
    "user.forgot_password": (ACCOUNT_CHANGE, 4),
    "user.suspend": (ACCOUNT_CHANGE, 5),
    "user.unsuspend": (ACCOUNT_CHANGE, 2),
    "business.add_admin": (USER_ACCESS, _ASSIGN),
    "business.invite_admin": (USER_ACCESS, _ASSIGN),
    "business.remove_admin": (USER_ACCESS, _REVOKE),
    "org.add_member": (USER_ACCESS, _ASSIGN),
    "org.add_outside_collaborator": (USER_ACCESS, _ASSIGN),
    "org.block_user": (USER_ACCESS, _REVOKE),
    "org.invite_member": (USER_ACCESS, _ASSIGN),
    "org.invite_user": (USER_ACCESS, _ASSIGN),
    "org.remove_member": (USER_ACCESS, _REVOKE),
    "org.remove_outside_collaborator": (USER_ACCESS, _REVOKE),
    "org.unblock_user": (USER_ACCESS, OTHER),
    "org.update_member": (USER_ACCESS, _ASSIGN),
    "organization_moderators.add_user": (USER_ACCESS, _ASSIGN),
    "organization_moderators.remove_user": (USER_ACCESS, _REVOKE),
    "project.update_user_permission": (USER_ACCESS, _ASSIGN),
    "repo.add_member": (USER_ACCESS, _ASSIGN),
    "repo.remove_member": (USER_ACCESS, _REVOKE),
    "repo.update_member": (USER_ACCESS, _ASSIGN),
    "team.add_member": (GROUP_MANAGEMENT, 3),
    "team.add_repository": (GROUP_MANAGEMENT, _ASSIGN),
    "team.create": (GROUP_MANAGEMENT, 6),
    "team.demote_maintainer": (GROUP_MANAGEMENT, _REVOKE),
    "team.destroy": (GROUP_MANAGEMENT, 5),
    "team.promote_maintainer": (GROUP_MANAGEMENT, _ASSIGN),
    "team.remove_member": (GROUP_MANAGEMENT, 4),
    "team.remove_repository": (GROUP_MANAGEMENT, _REVOKE),
    "team.update_repository_permission": (GROUP_MANAGEMENT, _ASSIGN),
}
#: ``operation_type``, which says more than the action's name where GitHub states it.
_OPERATIONS: Final = {
    "access": _READ,
    "create": _CREATE,
    "modify": _UPDATE,
    "remove": _DELETE,
    "restore": _CREATE,
    "transfer": _UPDATE,
}
#: How the last part of an action begins.
_VERBS: Final = (
    (("create", "add", "register", "invite", "enroll"), _CREATE),
    (("access", "download", "clone", "fetch", "view", "list", "export"), _READ),
    (("update", "push", "rename", "archived", "unarchived", "transfer", "enable"), _UPDATE),
    (("disable", "change", "edit", "set_", "publish", "rotate", "approve"), _UPDATE),
    (("destroy", "delete", "remove", "revoke", "dismiss", "cancel", "clear"), _DELETE),
)


@lru_cache(8192)
def classify(action: str, operation_type: str) -> tuple[int, int]:
    """Return class and activity of an action, known or not."""
    if found := _EXACT.get(action):
        return found
    if operation_type == "authentication":
        return AUTHENTICATION, _LOGON
    if action.startswith("team."):
        return GROUP_MANAGEMENT, OTHER
    if operation_type in _OPERATIONS:
        return API_ACTIVITY, _OPERATIONS[operation_type]
    verb = action.rpartition(".")[2]
    named = (activity for starts, activity in _VERBS if verb.startswith(starts))
    return API_ACTIVITY, next(named, OTHER)
