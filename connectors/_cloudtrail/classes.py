"""Which OCSF class and activity an AWS API operation is.

Sign-ins and temporary credentials are Authentication, changes to one user's or role's
credentials and permissions are Account Change, to a group's are Group Management;
everything else is API Activity, with the activity read off the operation's verb.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from schemas.ocsf import ACCOUNT_CHANGE, API_ACTIVITY, AUTHENTICATION, GROUP_MANAGEMENT, OTHER

_LOGON, _LOGOFF, _TICKET, _PREAUTH, _SWITCH = 1, 2, 3, 6, 7
_CREATE, _READ, _UPDATE, _DELETE = 1, 2, 3, 4

# Temporary credentials are what a ticket is to Kerberos: proof of an earlier logon.
_STS: Final = {
    name: (AUTHENTICATION, _TICKET)
    for name in (
        "AssumeRole",
        "AssumeRoleWithSAML",
        "AssumeRoleWithWebIdentity",
        "AssumeRoot",
        "GetFederationToken",
        "GetSessionToken",
    )
}
_SIGN_IN: Final = {
    "ConsoleLogin": (AUTHENTICATION, _LOGON),
    "UserAuthentication": (AUTHENTICATION, _LOGON),
    "Logout": (AUTHENTICATION, _LOGOFF),
    "GetSigninToken": (AUTHENTICATION, _TICKET),
    "CheckMfa": (AUTHENTICATION, _PREAUTH),
    "CredentialChallenge": (AUTHENTICATION, _PREAUTH),
    "CredentialVerification": (AUTHENTICATION, _PREAUTH),
    "SwitchRole": (AUTHENTICATION, _SWITCH),
    "ExitRole": (AUTHENTICATION, _SWITCH),
}
_SSO: Final = {
    "Authenticate": (AUTHENTICATION, _LOGON),
    "Logout": (AUTHENTICATION, _LOGOFF),
    "CreateToken": (AUTHENTICATION, _TICKET),
    "Federate": (AUTHENTICATION, _TICKET),
    "GetRoleCredentials": (AUTHENTICATION, _TICKET),
}
_ACCOUNT: Final = {
    "Create": 1,
    "Enable": 2,
    "Password Change": 3,
    "Password Reset": 4,
    "Disable": 5,
    "Delete": 6,
    "Attach Policy": 7,
    "Detach Policy": 8,
    "MFA Factor Enable": 10,
    "MFA Factor Disable": 11,
    "Other": OTHER,
}
# A login profile is what makes console sign-in possible, hence Enable and Disable.
_IAM_ACCOUNT: Final = {
    "Create": ("CreateRole", "CreateServiceLinkedRole", "CreateUser"),
    "Enable": ("CreateLoginProfile",),
    "Password Change": ("ChangePassword",),
    "Password Reset": ("UpdateLoginProfile",),
    "Disable": ("DeleteLoginProfile",),
    "Delete": ("DeleteRole", "DeleteServiceLinkedRole", "DeleteUser"),
    "Attach Policy": (
        "AttachRolePolicy",
        "AttachUserPolicy",
        "PutRolePermissionsBoundary",
        "PutRolePolicy",
        "PutUserPermissionsBoundary",
        "PutUserPolicy",
    ),
    "Detach Policy": (
        "DeleteRolePermissionsBoundary",
        "DeleteRolePolicy",
        "DeleteUserPermissionsBoundary",
        "DeleteUserPolicy",
        "DetachRolePolicy",
        "DetachUserPolicy",
    ),
    "MFA Factor Enable": ("EnableMFADevice",),
    "MFA Factor Disable": ("DeactivateMFADevice",),
    "Other": (
        "CreateAccessKey",
        "CreateServiceSpecificCredential",
        "DeleteAccessKey",
        "DeleteSSHPublicKey",
        "DeleteServiceSpecificCredential",
        "DeleteSigningCertificate",
        "ResetServiceSpecificCredential",
        "ResyncMFADevice",
        "UpdateAccessKey",
        "UpdateAssumeRolePolicy",
        "UpdateRole",
        "UpdateSSHPublicKey",
        "UpdateSigningCertificate",
        "UpdateUser",
        "UploadSSHPublicKey",
        "UploadSigningCertificate",
    ),
}
_GROUP: Final = {
    "AttachGroupPolicy": 1,
    "PutGroupPolicy": 1,
    "DeleteGroupPolicy": 2,
    "DetachGroupPolicy": 2,
    "AddMemberToGroup": 3,
    "AddUserToGroup": 3,
    "CreateGroupMembership": 3,
    "DeleteGroupMembership": 4,
    "RemoveMemberFromGroup": 4,
    "RemoveUserFromGroup": 4,
    "DeleteGroup": 5,
    "CreateGroup": 6,
}
_GROUPS: Final = {name: (GROUP_MANAGEMENT, activity) for name, activity in _GROUP.items()}
_IAM: Final = _GROUPS | {
    name: (ACCOUNT_CHANGE, _ACCOUNT[activity])
    for activity, names in _IAM_ACCOUNT.items()
    for name in names
}
_DIRECTORY: Final = _GROUPS | {
    "CreateUser": (ACCOUNT_CHANGE, _ACCOUNT["Create"]),
    "EnableUser": (ACCOUNT_CHANGE, _ACCOUNT["Enable"]),
    "UpdatePassword": (ACCOUNT_CHANGE, _ACCOUNT["Password Reset"]),
    "DisableUser": (ACCOUNT_CHANGE, _ACCOUNT["Disable"]),
    "DeleteUser": (ACCOUNT_CHANGE, _ACCOUNT["Delete"]),
    "UpdateUser": (ACCOUNT_CHANGE, OTHER),
}
_SERVICES: Final = {
    "iam.amazonaws.com": _IAM,
    "identitystore.amazonaws.com": _DIRECTORY,
    "signin.amazonaws.com": _SIGN_IN,
    "sso-directory.amazonaws.com": _DIRECTORY,
    "sso.amazonaws.com": _SSO,
    "sts.amazonaws.com": _STS,
}

_VERBS: Final = {
    _CREATE: "Allocate Copy Create Generate Import Issue Launch Provision Publish Register Request "
    "Restore Run Upload",
    _READ: "Check Describe Discover Download Estimate Export Filter Get Head List Lookup Preview "
    "Query Scan Search Select Simulate Test Validate Verify View",
    _UPDATE: "Accept Activate Add Apply Assign Associate Attach Authorize Cancel Change Configure "
    "Deactivate Detach Disable Disassociate Edit Enable Grant Increase Invite Leave Modify Move "
    "Promote Put Reboot Reject Rename Replace Reset Resume Retry Revoke Rotate Set Share Start "
    "Stop Suspend Tag Unassign Untag Update Upgrade",
    _DELETE: "Delete Deprovision Deregister Destroy Purge Release Remove Retire Terminate",
}
_BY_VERB: Final = {verb: activity for activity, verbs in _VERBS.items() for verb in verbs.split()}
_DELETES: Final = frozenset({"ScheduleKeyDeletion", "CloseAccount"})


@lru_cache(maxsize=8192)
def classify(service: str, operation: str, read_only: bool) -> tuple[int, int]:
    """Return OCSF ``class_uid`` and ``activity_id`` of `operation` of `service`.

    Parameters
    ----------
    service
        ``eventSource``, such as ``iam.amazonaws.com``.
    operation
        ``eventName``.
    read_only
        What the event says of itself (``GenerateDataKey`` is a read to AWS).
    """
    known = _SERVICES.get(service, {}).get(operation)
    if known is not None:
        return known
    if read_only:
        return API_ACTIVITY, _READ
    if operation in _DELETES:
        return API_ACTIVITY, _DELETE
    return API_ACTIVITY, _BY_VERB.get(_verb(operation), OTHER)


def _verb(operation: str) -> str:
    """Return the first word of a camel-case name; ``BatchGetItem`` and the like give ``Get``.

    >>> _verb("DescribeInstances"), _verb("BatchGetSecretValue"), _verb("")
    ('Describe', 'Get', '')
    """
    operation = operation.removeprefix("Batch")
    end = next((i for i, c in enumerate(operation) if i and c.isupper()), len(operation))
    return operation[:end]
