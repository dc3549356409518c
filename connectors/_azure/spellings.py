"""What the fields of Sigma rules are called in each spelling of Azure's logs.

Public rules name fields as the portal, the table of Azure Monitor Logs, the Graph API or the
diagnostic settings do, and some as nobody does (``properties.message`` of an audit log is its
activity). `everywhere` covers what differs in case and envelope alone; the tables hold the rest.
"""

from __future__ import annotations

from functools import cache
from typing import Final

_RESULT: Final = ("resultType", "resulttype", "status.errorCode", "properties.status.errorCode")
_WHY: Final = ("resultDescription", "status.failureReason", "properties.status.failureReason")
_UPN: Final = ("userPrincipalName", "properties.userPrincipalName", "UserPrincipalName")
_ACTIVITY: Final = (
    *("activityDisplayName", "properties.activityDisplayName", "operationName"),
    *("properties.operationName", "OperationName", "ActivityDisplayName"),
)
_TARGETS: Final = ("targetResources", "properties.targetResources", "TargetResources")
_MODIFIED: Final = tuple(f"{path}.modifiedProperties" for path in _TARGETS)
_OUTCOME: Final = ("result", "properties.result", "Result", "resultType")


def _inside(paths: tuple[str, ...], name: str) -> tuple[str, ...]:
    return tuple(f"{path}.{name}" for path in paths)


def _device(name: str) -> tuple[str, ...]:
    places = ("deviceDetail", "properties.deviceDetail", "DeviceDetail")
    return _inside(places, name)


ACTIVITY: Final = {
    "operationName": ("operationName.value", "OperationNameValue", "operationname"),
    "OperationNameValue": ("operationName.value", "operationName", "operationname"),
    "CategoryValue": ("category.value", "category"),
    "ResourceProviderValue": ("resourceProviderName.value",),
    "properties.message": ("operationName.localizedValue", "OperationName"),
}
SIGN_IN: Final = {
    "ActivityDetails": ("operationName", "OperationName"),
    "ClientApp": ("clientAppUsed", "properties.clientAppUsed", "ClientAppUsed"),
    "DeviceDetail.deviceId": _device("deviceId"),
    "DeviceDetail.isCompliant": _device("isCompliant"),
    "DeviceDetail.trusttype": _device("trustType"),
    "ResultDescription": _WHY,
    "Resultdescription": (*_WHY, "ResultDescription"),
    "ResultType": _RESULT,
    "Username": _UPN,
    "properties.message": (
        *("authenticationProtocol", "properties.authenticationProtocol"),
        "AuthenticationProtocol",
    ),
    "riskEventType": ("properties.riskEventType", "RiskEventType"),
}
AUDIT: Final = {
    "ActivityDisplayName": _ACTIVITY,
    "ActivityType": _ACTIVITY,
    "Category": ("properties.category", "category"),
    "Initiatedby": (
        *("initiatedBy.user.userPrincipalName", "properties.initiatedBy.user.userPrincipalName"),
        "InitiatedBy.user.userPrincipalName",
    ),
    "OperationName": _ACTIVITY,
    "Status": _OUTCOME,
    "Target": _TARGETS,
    "TargetResources": _TARGETS,
    "TargetResources.ModifiedProperties.DisplayName": _inside(_MODIFIED, "displayName"),
    "TargetResources.ModifiedProperties.NewValue": _inside(_MODIFIED, "newValue"),
    "TargetResources.modifiedProperties": _MODIFIED,
    "TargetResources.modifiedProperties.newValue": _inside(_MODIFIED, "newValue"),
    "activityType": _ACTIVITY,
    "additionalDetails.additionalInfo": (
        *("additionalDetails.value", "properties.additionalDetails.value"),
        "AdditionalDetails.value",
    ),
    "failure_status_reason": ("resultReason", "properties.resultReason", "ResultReason"),
    "operationName": _ACTIVITY,
    "properties.message": _ACTIVITY,
    "properties.result": _OUTCOME,
    "properties.targetResources": _TARGETS,
    "targetResources.type": _inside(_TARGETS, "type"),
}


@cache
def everywhere(field: str) -> tuple[str, ...]:
    """Return `field` as Graph, the diagnostic settings and Azure Monitor Logs write it."""
    bare = field.removeprefix("properties.")
    lower, upper = bare[:1].lower() + bare[1:], bare[:1].upper() + bare[1:]
    names = (lower, f"properties.{lower}", f"properties.{bare}", upper, bare, bare.lower())
    return tuple(dict.fromkeys(name for name in names if name != field))
