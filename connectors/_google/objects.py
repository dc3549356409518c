"""The OCSF objects that Google Cloud's sources share."""

from __future__ import annotations

from typing import Any, Final

from connectors._json.fields import some
from connectors._json.objects import text
from connectors.base import OCSF

#: ``LogSeverity`` to OCSF.
SEVERITY: Final = {
    **dict.fromkeys(("DEFAULT", "DEBUG", "INFO", "NOTICE"), 1),
    **{"WARNING": 3, "ERROR": 4, "CRITICAL": 5, "ALERT": 5, "EMERGENCY": 6},
}
_PROJECT: Final = {"type": "GCP Project", "type_id": 11}


def cloud(project: str, region: str = "", zone: str = "", organization: str = "") -> OCSF:
    """Return the OCSF ``cloud`` of an event of Google Cloud."""
    return some(
        account={"uid": project, **_PROJECT} if project else None,
        org=some(uid=organization),
        provider="GCP",
        region=region,
        zone=zone,
    )


def project(name: str) -> str:
    """Return the project in a resource's or log's name (``projects/<id>/…``), or nothing."""
    parts = name.split("/")
    at = parts.index("projects") if "projects" in parts[:-1] else -1
    return parts[at + 1] if at >= 0 else ""


def scope(name: str, kind: str) -> str:
    """Return the id of the ``folders`` or ``organizations`` that a name begins with."""
    head, _, rest = name.partition("/")
    return rest.partition("/")[0] if head == kind else ""


def member(value: Any) -> OCSF:
    """Return the user in a policy's member, such as ``serviceAccount:a@b.example``."""
    said = text(value)
    kind, _, name = said.rpartition(":")
    kinds = {"serviceAccount": ("Service", 4), "user": ("User", 1)}
    known = kinds.get(kind, (kind or "Unknown", 99 if kind else 0))
    return {"name": name or said or "unknown", "type": known[0], "type_id": known[1]}
