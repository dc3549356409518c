"""Cut the OCSF schema export down to the classes that Sentinel produces.

``python -m schemas.ocsf_trim EXPORT.json`` reads the compiled schema as the OCSF schema
server exports it (the PyPI package ``ocsf-json-schema`` carries these exports) and
rewrites ``ocsf-<version>.json`` beside this file. The OCSF schema is Apache-2.0, by the
Open Cybersecurity Schema Framework project.

Kept of an attribute: requirement, type, object type, is_array, profile, enum captions,
sibling, deprecation. Kept of a type: base type, regex, max_len, range. Descriptions go,
and so do the profiles that nothing here applies.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

CLASSES = (
    "account_change",
    "api_activity",
    "application_error",
    "application_lifecycle",
    "application_security_posture_finding",
    "authentication",
    "authorize_session",
    "base_event",
    "cloud_resources_inventory_info",
    "compliance_finding",
    "data_security_finding",
    "datastore_activity",
    "detection_finding",
    "device_config_state_change",
    "dhcp_activity",
    "dns_activity",
    "email_activity",
    "entity_management",
    "event_log_actvity",  # the schema's own spelling
    "file_activity",
    "file_hosting",
    "ftp_activity",
    "group_management",
    "http_activity",
    "iam_analysis_finding",
    "incident_finding",
    "inventory_info",
    "kernel_activity",
    "kernel_extension_activity",
    "memory_activity",
    "module_activity",
    "network_activity",
    "ntp_activity",
    "peripheral_activity",
    "process_activity",
    "rdp_activity",
    "scan_activity",
    "scheduled_job_activity",
    "script_activity",
    "smb_activity",
    "software_info",
    "ssh_activity",
    "tunnel_activity",
    "user_access",
    "user_inventory",
    "vulnerability_finding",
    "web_resources_activity",
)
ABOUT = (
    "Open Cybersecurity Schema Framework (OCSF) schema, Apache-2.0, by the OCSF project; "
    "cut down by schemas/ocsf_trim.py"
)
PROFILES = frozenset(
    {"cloud", "container", "host", "incident", "linux/linux_users", "osint", "security_control"}
)


def _attribute(spec: dict[str, Any]) -> dict[str, Any]:
    """Return what validation needs of one attribute."""
    kept: dict[str, Any] = {"type": spec["type"], "requirement": spec["requirement"]}
    for key in ("object_type", "is_array", "profile", "sibling"):
        if spec.get(key):
            kept[key] = spec[key]
    if "enum" in spec:
        ids = sorted(spec["enum"], key=lambda value: (len(value), value))
        kept["enum"] = {value: spec["enum"][value]["caption"] for value in ids}
    if "@deprecated" in spec:
        kept["deprecated"] = spec["@deprecated"]["since"]
    return kept


def _record(spec: dict[str, Any]) -> dict[str, Any]:
    """Return what validation needs of a class or an object."""
    attributes = {
        name: _attribute(value)
        for name, value in sorted(spec["attributes"].items())
        if not value.get("profile") or value["profile"] in PROFILES
    }
    kept: dict[str, Any] = {"attributes": attributes}
    if spec.get("constraints"):
        kept["constraints"] = spec["constraints"]
    return kept


def trim(export: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a schema `export` that the classes in `CLASSES` reach."""
    sources = export["classes"] | {"base_event": export["base_event"]}
    classes: dict[str, Any] = {}
    waiting: list[dict[str, Any]] = []
    for name in CLASSES:
        record = _record(sources[name])
        uid = sources[name].get("uid", 0)
        record |= {"uid": uid, "caption": sources[name]["caption"]}
        record |= {"category_uid": sources[name].get("category_uid", 0)}
        record["category_name"] = sources[name].get("category_name", "Uncategorized")
        record["profiles"] = sorted(PROFILES & set(sources[name].get("profiles", ())))
        classes[name] = record
        waiting.append(record)
    objects: dict[str, Any] = {}
    while waiting:
        for attribute in waiting.pop()["attributes"].values():
            wanted = attribute.get("object_type")
            if wanted and wanted not in objects:
                objects[wanted] = _record(export["objects"][wanted])
                waiting.append(objects[wanted])
    rules = ("type", "regex", "max_len", "range")
    types = {
        name: {key: spec[key] for key in rules if key in spec}
        for name, spec in sorted(export["types"].items())
    }
    ordered = dict(sorted(objects.items()))
    return {
        "about": ABOUT,
        "version": export["version"],
        "classes": classes,
        "objects": ordered,
        "types": types,
    }


def main(path: str) -> None:
    """Write the trimmed schema of the export at `path` beside this file."""
    schema = trim(json.loads(Path(path).read_text(encoding="utf-8")))
    target = Path(__file__).with_name(f"ocsf-{schema['version']}.json")
    lines = []
    for part in ("classes", "objects", "types"):
        rows = [f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in schema[part].items()]
        lines.append(f" {json.dumps(part)}: {{\n" + ",\n".join(rows) + "\n }")
    head = [f" {json.dumps(key)}: {json.dumps(schema[key])}" for key in ("about", "version")]
    target.write_text("{\n" + ",\n".join([*head, *lines]) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
