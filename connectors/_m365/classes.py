"""Which OCSF class and activity a record of the unified audit log is.

Source: Microsoft, "Office 365 Management Activity API schema" (record types) and "Audit log
activities".
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from connectors._azure.directory import classify as directory_activity
from schemas.ocsf import (
    ACCOUNT_CHANGE,
    API_ACTIVITY,
    AUTHENTICATION,
    DETECTION_FINDING,
    EMAIL_ACTIVITY,
    FILE_HOSTING,
    GROUP_MANAGEMENT,
    OTHER,
    USER_ACCESS,
)

_LOGON: Final = 1
_SIGN_INS: Final = frozenset(
    {
        "UserLoggedIn",
        "UserLoginFailed",
        "MailboxLogin",
        "TeamsSessionStarted",
        "ForeignRealmIndexLogonInitialAuthUsingADFSFederatedToken",
    }
)
_SIGN_IN_TYPES: Final = frozenset({"9", "15"})
_FINDINGS: Final = frozenset({"AlertTriggered", "AlertEntityGenerated", "AlertUpdated"})
_MAIL: Final = {
    **dict.fromkeys(("Send", "SendAs", "SendOnBehalf"), 1),
    **dict.fromkeys(("TIMailData", "AirInvestigationData"), 3),
    **dict.fromkeys(
        (
            *("MailItemsAccessed", "Create", "Update", "Move", "Copy", "MoveToDeletedItems"),
            *("SoftDelete", "HardDelete", "FolderBind", "MessageBind", "RecordDelete"),
        ),
        OTHER,
    ),
}
_FILES: Final = (
    (re.compile("(?:File|Folder)(?:Upload|Created)|FolderCreated"), 1),
    (re.compile("File(?:Download|SyncDownload)"), 2),
    (re.compile("(?:File|Folder)(?:Modified|Uploaded)|FileSyncUpload|FileSensitivityLabel"), 3),
    (re.compile("(?:File|Folder)(?:Deleted|Recycled|Versions\\w*Deleted|VersionRecycled)"), 4),
    (re.compile("(?:File|Folder)Renamed"), 5),
    (re.compile("(?:File|Folder)Copied"), 6),
    (re.compile("(?:File|Folder)Moved"), 7),
    (re.compile("(?:File|Folder)Restored|FileVersionRestored"), 8),
    (re.compile("FilePreviewed"), 9),
    (re.compile("FileCheckedOut|LockRecord"), 10),
    (re.compile("FileCheckedIn|FileCheckOutDiscarded|UnlockRecord"), 11),
    (
        re.compile(
            "(?:Sharing(?:Revoked|InvitationRevoked|InvitationBlocked|LinkDeleted))|"
            r"\w*Link(?:Removed|Deleted|Revoked)|RemovedFromSecureLink"
        ),
        13,
    ),
    (
        re.compile(
            r"Sharing(?!Inheritance|Policy)\w*|\w*Link(?:Created|Updated|Used)|AddedToSecureLink"
        ),
        12,
    ),
    (re.compile("FileAccessed|PageViewed|PagePrefetched|FileAccessedExtended"), 14),
)
_FILE_TYPES: Final = frozenset(
    {"6", "14", "4", "SharePointFileOperation", "SharePointSharingOperation", "SharePoint"}
)
_GROUPS: Final = {
    **dict.fromkeys(("MemberAdded", "AddedToGroup", "Add-DistributionGroupMember"), 3),
    **dict.fromkeys(("Add-UnifiedGroupLinks", "Update-DistributionGroupMember"), 3),
    **dict.fromkeys(("MemberRemoved", "RemovedFromGroup", "Remove-DistributionGroupMember"), 4),
    **dict.fromkeys(("Remove-UnifiedGroupLinks",), 4),
    **dict.fromkeys(("TeamCreated", "GroupAdded", "New-UnifiedGroup", "New-DistributionGroup"), 6),
    **dict.fromkeys(("TeamDeleted", "GroupRemoved", "Remove-UnifiedGroup"), 5),
    **dict.fromkeys(("Remove-DistributionGroup",), 5),
    **dict.fromkeys(("MemberRoleChanged", "Add-RoleGroupMember"), 1),
    **dict.fromkeys(("Remove-RoleGroupMember",), 2),
}
_ACCESS: Final = {
    **dict.fromkeys(
        (
            *("Add-MailboxPermission", "Add-RecipientPermission", "Add-MailboxFolderPermission"),
            *("SiteCollectionAdminAdded", "New-ManagementRoleAssignment", "AddFolderPermissions"),
            "ModifyFolderPermissions",
        ),
        1,
    ),
    **dict.fromkeys(
        (
            *("Remove-MailboxPermission", "Remove-RecipientPermission", "RemoveFolderPermissions"),
            *("SiteCollectionAdminRemoved", "Remove-ManagementRoleAssignment"),
            "Remove-MailboxFolderPermission",
        ),
        2,
    ),
}
_ACCOUNTS: Final = {
    **{"New-Mailbox": 1, "New-MailUser": 1, "Enable-Mailbox": 2, "Disable-Mailbox": 5},
    **{"Remove-Mailbox": 6, "Remove-MailUser": 6, "Set-User": OTHER, "UserAdded": 1},
}
_NAMED: Final = {
    **{name: (GROUP_MANAGEMENT, activity) for name, activity in _GROUPS.items()},
    **{name: (USER_ACCESS, activity) for name, activity in _ACCESS.items()},
    **{name: (ACCOUNT_CHANGE, activity) for name, activity in _ACCOUNTS.items()},
}
_VERBS: Final = (
    (
        re.compile(
            "Get|Test|Search|View|List|Read|Aggregate|Validate|Export|PageViewed|ListViewed|"
            "ClientView|Find|Preview|Access|Download"
        ),
        2,
    ),
    (re.compile("New|Add|Create|Install|Import|Copy|Upload|Start|Register"), 1),
    (re.compile("Remove|Delete|Uninstall|Purge|HardDelete|SoftDelete"), 4),
    (re.compile("Set|Update|Enable|Disable|Change|Modif|Move|Restore|Grant|Revoke|Stop|Edit"), 3),
    (re.compile(r"\w*(?:Created|Added)$"), 1),
    (re.compile(r"\w*(?:Viewed|Accessed|Downloaded|Read|Performed)$"), 2),
    (re.compile(r"\w*(?:Deleted|Removed)$"), 4),
    (re.compile(r"\w*(?:Updated|Modified|Changed|Set|Broken|Renamed)$"), 3),
)


@lru_cache(maxsize=16384)
def classify(workload: str, kind: str, operation: str, mail: bool, item: str) -> tuple[int, int]:
    """Return ``class_uid`` and ``activity_id`` of a record.

    Parameters
    ----------
    workload, kind, operation
        ``Workload``, ``RecordType`` (as text) and ``Operation``.
    mail
        Whether the record names a sender, recipient or owner of a mailbox by address: OCSF's
        e-mail cannot be without.
    item
        ``ItemType``.
    """
    if operation in _SIGN_INS or kind in _SIGN_IN_TYPES:
        return AUTHENTICATION, _LOGON
    if workload == "AzureActiveDirectory" or kind in ("8", "AzureActiveDirectory"):
        return directory_activity(operation)
    if operation in _FINDINGS:
        return DETECTION_FINDING, 2 if operation == "AlertUpdated" else 1
    if operation in _NAMED:
        return _NAMED[operation]
    if mail and operation in _MAIL and workload in ("Exchange", "ThreatIntelligence", ""):
        return EMAIL_ACTIVITY, _MAIL[operation]
    found = _file(kind, operation, item) or next(
        (activity for pattern, activity in _VERBS if pattern.match(operation)), OTHER
    )
    return found if isinstance(found, tuple) else (API_ACTIVITY, found)


def _file(kind: str, operation: str, item: str) -> tuple[int, int] | None:
    """Return what was done with a file, folder or page; None: it was none."""
    if kind not in _FILE_TYPES or item not in ("File", "Folder", "Page", ""):
        return None
    for pattern, activity in _FILES:
        if pattern.match(operation):
            return FILE_HOSTING, activity
    return (FILE_HOSTING, OTHER) if item in ("File", "Folder") else None
