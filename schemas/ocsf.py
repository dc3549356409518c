"""The OCSF version Sentinel writes, the classes it uses, and a validator for them.

The schema in ``ocsf-1.7.0.json`` is the compiled OCSF 1.7.0 schema (Apache-2.0, by the
OCSF project), cut down by `schemas.ocsf_trim` to the classes in use. `validate`
checks what the OCSF server's own validator checks, and as producer we are stricter:
deprecated attributes, captions that differ from the schema's, and empty required objects
are problems too.

Examples
--------
>>> head(API_ACTIVITY, 2, time=0, severity_id=1)["type_name"]
'API Activity: Read'
>>> validate(head(API_ACTIVITY, 2, time=0, severity_id=1))[0]
'actor: required, but missing'
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from ipaddress import ip_address, ip_network
from typing import Any, Final

VERSION: Final = "1.7.0"

BASE_EVENT: Final = 0
FILE_ACTIVITY: Final = 1001
KERNEL_EXTENSION_ACTIVITY: Final = 1002
KERNEL_ACTIVITY: Final = 1003
MEMORY_ACTIVITY: Final = 1004
MODULE_ACTIVITY: Final = 1005
SCHEDULED_JOB_ACTIVITY: Final = 1006
PROCESS_ACTIVITY: Final = 1007
EVENT_LOG_ACTIVITY: Final = 1008
SCRIPT_ACTIVITY: Final = 1009
PERIPHERAL_ACTIVITY: Final = 1010
VULNERABILITY_FINDING: Final = 2002
COMPLIANCE_FINDING: Final = 2003
DETECTION_FINDING: Final = 2004
INCIDENT_FINDING: Final = 2005
DATA_SECURITY_FINDING: Final = 2006
APPLICATION_SECURITY_POSTURE_FINDING: Final = 2007
IAM_ANALYSIS_FINDING: Final = 2008
ACCOUNT_CHANGE: Final = 3001
AUTHENTICATION: Final = 3002
AUTHORIZE_SESSION: Final = 3003
ENTITY_MANAGEMENT: Final = 3004
USER_ACCESS: Final = 3005
GROUP_MANAGEMENT: Final = 3006
NETWORK_ACTIVITY: Final = 4001
HTTP_ACTIVITY: Final = 4002
DNS_ACTIVITY: Final = 4003
DHCP_ACTIVITY: Final = 4004
RDP_ACTIVITY: Final = 4005
SMB_ACTIVITY: Final = 4006
SSH_ACTIVITY: Final = 4007
FTP_ACTIVITY: Final = 4008
EMAIL_ACTIVITY: Final = 4009
NTP_ACTIVITY: Final = 4013
TUNNEL_ACTIVITY: Final = 4014
INVENTORY_INFO: Final = 5001
USER_INVENTORY: Final = 5003
DEVICE_CONFIG_STATE_CHANGE: Final = 5019
SOFTWARE_INFO: Final = 5020
CLOUD_RESOURCES_INVENTORY_INFO: Final = 5023
WEB_RESOURCES_ACTIVITY: Final = 6001
APPLICATION_LIFECYCLE: Final = 6002
API_ACTIVITY: Final = 6003
DATASTORE_ACTIVITY: Final = 6005
FILE_HOSTING: Final = 6006
SCAN_ACTIVITY: Final = 6007
APPLICATION_ERROR: Final = 6008

OTHER: Final = 99
STATUS_NAMES: Final = {0: "Unknown", 1: "Success", 2: "Failure", 99: "Other"}
SEVERITY_NAMES: Final = {
    0: "Unknown",
    1: "Informational",
    2: "Low",
    3: "Medium",
    4: "High",
    5: "Critical",
    6: "Fatal",
    99: "Other",
}

_INTEGERS: Final = {"integer_t": 2**31, "port_t": 2**16, "long_t": 2**63, "timestamp_t": 2**63}


@cache
def schema() -> dict[str, Any]:
    """Return the schema: ``classes`` and ``objects`` by name, ``types`` by name."""
    text = resources.files("schemas").joinpath(f"ocsf-{VERSION}.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@cache
def classes() -> dict[int, dict[str, Any]]:
    """Return the event classes in use by ``class_uid``."""
    return {int(spec["uid"]): spec for spec in schema()["classes"].values()}


@cache
def _captions(class_uid: int, activity_id: int) -> tuple[int, str, str, str]:
    """Return category id, category name, class name and activity name."""
    spec = classes()[class_uid]
    activity = spec["attributes"]["activity_id"]["enum"][str(activity_id)]
    return spec["category_uid"], spec["category_name"], spec["caption"], activity


def head(
    class_uid: int, activity_id: int, *, time: int, severity_id: int, operation: str = ""
) -> dict[str, Any]:
    """Return the classification attributes that every event starts with.

    Parameters
    ----------
    class_uid, activity_id
        Of a class in `classes`; KeyError otherwise.
    time
        Milliseconds since the epoch, UTC.
    severity_id
        One of `SEVERITY_NAMES`.
    operation
        The source's own name of what was done; it becomes the activity's name where
        the schema has none (`OTHER`).
    """
    category_uid, category, caption, activity = _captions(class_uid, activity_id)
    return {
        "activity_id": activity_id,
        "activity_name": operation if operation and activity_id == OTHER else activity,
        "category_name": category,
        "category_uid": category_uid,
        "class_name": caption,
        "class_uid": class_uid,
        "severity": SEVERITY_NAMES[severity_id],
        "severity_id": severity_id,
        "time": time,
        "type_name": f"{caption}: {activity}",
        "type_uid": class_uid * 100 + activity_id,
    }


@cache
def status_name(class_uid: int, status_id: int) -> str:
    """Return the caption of a status: a finding is New or Resolved, not a success.

    >>> status_name(API_ACTIVITY, 1), status_name(DETECTION_FINDING, 1)
    ('Success', 'New')
    """
    named = classes()[class_uid]["attributes"]["status_id"]["enum"]
    return str(named.get(str(status_id), STATUS_NAMES[0]))


def validate(event: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with `event`, one ``path: expected, found`` a problem; none is valid.

    Checked: class, category, type and version numbers agree; required attributes;
    no attribute that the class, its objects and the applied profiles do not define;
    data types with their patterns, ranges and lengths; enumerations and their captions;
    ``at_least_one`` and ``just_one`` constraints; no deprecated attribute.
    """
    class_uid = event.get("class_uid")
    spec = classes().get(class_uid) if isinstance(class_uid, int) else None
    if spec is None:
        known = ", ".join(str(uid) for uid in sorted(classes()))
        return [f"class_uid: expected one of {known}, found {class_uid!r}"]
    metadata = event.get("metadata")
    applied = metadata.get("profiles") or () if isinstance(metadata, dict) else ()
    applied = [name for name in applied if isinstance(name, str)]
    problems = list(_classification(event, spec))
    if isinstance(metadata, dict) and metadata.get("version") != VERSION:
        problems.append(f"metadata.version: expected {VERSION}, found {metadata.get('version')!r}")
    problems += [
        f"metadata.profiles: {name!r} is not a profile of {spec['caption']}"
        for name in applied
        if name not in spec["profiles"]
    ]
    problems += _record(event, spec, "", frozenset(applied))
    return problems


def _classification(event: Mapping[str, Any], spec: Mapping[str, Any]) -> Iterator[str]:
    """Check the numbers that follow from one another."""
    activity = event.get("activity_id")
    expected = spec["uid"] * 100 + (activity if isinstance(activity, int) else 0)
    if event.get("type_uid") != expected:
        yield f"type_uid: expected {expected}, found {event.get('type_uid')!r}"
    if event.get("category_uid") != spec["category_uid"]:
        yield f"category_uid: expected {spec['category_uid']}, found {event.get('category_uid')!r}"


def _record(
    value: Mapping[str, Any], spec: Mapping[str, Any], path: str, applied: frozenset[str]
) -> Iterator[str]:
    """Check an event or an object against its definition."""
    attributes = spec["attributes"]
    for name, attribute in attributes.items():
        profile = attribute.get("profile")
        needed = attribute["requirement"] == "required" and (not profile or profile in applied)
        if needed and value.get(name) is None:
            yield f"{path}{name}: required, but missing"
    for name, item in value.items():
        attribute = attributes.get(name)
        here = f"{path}{name}"
        if attribute is None:
            yield f"{here}: the schema does not define it here"
        elif attribute.get("profile") and attribute["profile"] not in applied:
            yield f"{here}: belongs to profile {attribute['profile']}, which is not applied"
        else:
            yield from _attribute(item, attribute, here, applied)
            yield from _sibling(value, item, attribute, here)
    for kind, names in (spec.get("constraints") or {}).items():
        present = sum(value.get(name) is not None for name in names)
        if present == 0 or (kind == "just_one" and present > 1):
            yield f"{path or 'event '}: {kind} of {', '.join(names)}, found {present}"


def _attribute(
    item: Any, attribute: Mapping[str, Any], path: str, applied: frozenset[str]
) -> Iterator[str]:
    """Check one attribute's value, or each of them in an array."""
    if "deprecated" in attribute:
        yield f"{path}: deprecated since OCSF {attribute['deprecated']}"
    if not attribute.get("is_array"):
        yield from _value(item, attribute, path, applied)
    elif not isinstance(item, list):
        yield f"{path}: expected an array, found {type(item).__name__}"
    else:
        for index, entry in enumerate(item):
            yield from _value(entry, attribute, f"{path}[{index}]", applied)


def _value(
    item: Any, attribute: Mapping[str, Any], path: str, applied: frozenset[str]
) -> Iterator[str]:
    """Check a single value: an object, or a scalar with its type and enumeration."""
    if attribute["type"] == "object_t":
        spec = schema()["objects"][attribute["object_type"]]
        if not isinstance(item, dict):
            yield f"{path}: expected an object, found {type(item).__name__}"
        elif spec["attributes"]:  # the object "object" is free-form
            yield from _record(item, spec, f"{path}.", applied)
        return
    problem = scalar_problem(item, attribute["type"])
    if problem:
        yield f"{path}: {problem}"
    elif "enum" in attribute and str(item) not in attribute["enum"]:
        yield f"{path}: expected one of {', '.join(attribute['enum'])}, found {item!r}"


def _sibling(
    value: Mapping[str, Any], item: Any, attribute: Mapping[str, Any], path: str
) -> Iterator[str]:
    """Check that a number and the name beside it say the same."""
    name = attribute.get("sibling")
    caption = attribute.get("enum", {}).get(str(item))
    if not name or caption is None or item == OTHER or name not in value:
        return
    if value[name] != caption:
        yield f"{path}: {item} is {caption!r}, but {name} says {value[name]!r}"


def scalar_problem(item: Any, kind: str) -> str:
    """Return what is wrong with a scalar of type `kind`, or an empty string."""
    if kind == "json_t":
        return ""
    if kind == "boolean_t":
        return "" if isinstance(item, bool) else f"expected a boolean, found {item!r}"
    if kind in _INTEGERS:
        return _number(item, kind)
    if kind == "float_t":
        good = isinstance(item, int | float) and not isinstance(item, bool)
        return "" if good else f"expected a number, found {item!r}"
    return _text(item, kind)


def _number(item: Any, kind: str) -> str:
    """Check an integer and its range."""
    if not isinstance(item, int) or isinstance(item, bool):
        return f"expected an integer, found {item!r}"
    limit = _INTEGERS[kind]
    low = 0 if kind == "port_t" else -limit
    return "" if low <= item < limit else f"expected {kind}, found {item}, which is out of range"


def _text(item: Any, kind: str) -> str:
    """Check a string, its pattern and its length."""
    if not isinstance(item, str):
        return f"expected a string, found {item!r:.80}"
    if kind in {"ip_t", "subnet_t"}:
        # The schema's pattern leaves its dots unescaped and would take 1a2b3c4.
        try:
            ip_address(item) if kind == "ip_t" else ip_network(item, strict=False)
        except ValueError:
            return f"expected {kind}, found {item!r:.80}"
        return ""
    rule = schema()["types"][kind]
    if len(item) > rule.get("max_len", len(item)):
        return f"expected at most {rule['max_len']} characters, found {len(item)}"
    if "regex" in rule and not re.search(rule["regex"], item):
        return f"expected {kind}, found {item!r:.80}"
    return ""
