"""The OCSF objects that Azure's sources share."""

from __future__ import annotations

from typing import Final

from connectors._json.fields import some
from connectors.base import OCSF

#: Levels of Azure Monitor, as text and as the numbers of Event Tracing for Windows.
SEVERITY: Final = {
    **{"Critical": 5, "Error": 4, "Warning": 3, "Informational": 1, "Information": 1},
    **{"Verbose": 1, "1": 5, "2": 4, "3": 3, "4": 1, "5": 1},
}
SUBSCRIPTION: Final = {"type": "Azure Subscription", "type_id": 13}


def cloud(subscription: str = "", tenant: str = "", region: str = "") -> OCSF:
    """Return the OCSF ``cloud`` of an event of Azure."""
    return some(
        account={"uid": subscription, **SUBSCRIPTION} if subscription else None,
        org=some(uid=tenant),
        provider="Azure",
        region=region,
    )


def subscription(resource_id: str) -> str:
    """Return the subscription in a resource's id, or nothing."""
    parts = resource_id.split("/", 3)
    return parts[2] if len(parts) > 2 and parts[1].lower() == "subscriptions" else ""


def resource(resource_id: str, region: str = "") -> OCSF:
    """Return the OCSF resource of an id such as ``/subscriptions/…/providers/<type>/<name>``."""
    if not resource_id:
        return {}
    parts = resource_id.strip("/").split("/")
    kinds = [part.lower() for part in parts]
    group, kind = "", ""
    if "resourcegroups" in kinds[:-1]:
        group = parts[kinds.index("resourcegroups") + 1]
    if "providers" in kinds[:-2]:
        # The last provider is that of the resource itself: others are what it extends.
        at = len(kinds) - 1 - kinds[::-1].index("providers")
        kind = "/".join(parts[at + 1 : at + 2] + parts[at + 2 :: 2])
    return some(group=some(name=group), name=parts[-1], region=region, type=kind, uid=resource_id)
