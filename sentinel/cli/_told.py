"""An alert as an analyst reads it: what happened, why it fired, what else there is, what to do.

Who looks at an alert asks in this order; the raw events stay one command away.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

#: Alerts of the same incident that a screen shows, and incidents that are looked into for it.
OTHERS, INCIDENTS = 8, 3
#: How far around an alert the command for its events looks.
AROUND: Final = timedelta(minutes=30)
#: Longest command line or request of an event that is shown, in characters.
LONGEST = 160
#: What is done with an alert that is not decided yet; the longest life of a suppression to try.
OPEN: Final = frozenset({"new", "triaged", "in_progress"})
EXPIRES = "14d"


def happened(item: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Return one event of the evidence as a row: when, what, from where, with which outcome."""
    ocsf = item.get("ocsf") or {}
    what = _cut(_at(ocsf, "process.cmd_line") or _at(ocsf, "message") or _raw(item))
    if asked := _at(ocsf, "api.request.data"):
        what = f"{what}  {_cut(asked)}"
    origin = _at(ocsf, "src_endpoint.ip") or _at(ocsf, "device.hostname")
    known = [text for text in _known(ocsf) if text]
    if known:
        origin = f"{origin} ({', '.join(known)})"
    return item["time"][:19].replace("T", " "), what, origin, _at(ocsf, "status")


def _at(ocsf: Mapping[str, Any], path: str) -> str:
    """Return the text at a dotted path, empty where there is none."""
    value: Any = ocsf
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return "" if value is None else str(value)


def _known(ocsf: Mapping[str, Any]) -> Iterator[str]:
    """Yield what look-ups know of the address that an event came from."""
    yield _at(ocsf, "src_endpoint.location.country")
    yield _at(ocsf, "src_endpoint.autonomous_system.name")
    address = _at(ocsf, "src_endpoint.ip")
    for each in ocsf.get("enrichments") or ():
        if address and each.get("value") == address:
            data = each.get("data") or {}
            named = data.get("flags") or data.get("lists") or (each.get("type", ""),)
            yield str(each.get("short_desc") or ", ".join(named))


def _raw(item: Mapping[str, Any]) -> str:
    return str(item.get("raw") or item.get("raw_base64") or "")


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def others(alert: Mapping[str, Any], incident: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield the other alerts of the incident that an alert is part of."""
    if incident is None:
        yield "No other alert shares who, from where or on what with it within a day."
        return
    rest = [each for each in incident["members"] if each["id"] != alert["id"]]
    yield (
        f"{len(rest)} more alert(s) share who, from where or on what with it: "
        f"`sentinel incident {incident['id']}` ({incident['severity']}, {incident['status']})"
    )
    for each in rest[:OTHERS]:
        when = each["time"][:19].replace("T", " ")
        yield f"  {when}  {each['severity']:<8}  {each['title']}  {each['entity']}"
    if len(rest) > OTHERS:
        yield f"  and {len(rest) - OTHERS} more"


def steps(alert: Mapping[str, Any]) -> Iterator[str]:
    """Yield what can be done next, as commands that can be copied."""
    begin = datetime.fromisoformat(alert["time"])
    around = [f"{when:%Y-%m-%dT%H:%M:%SZ}" for when in (begin - AROUND, begin + AROUND)]
    who = shlex.quote(alert["entity"])
    if alert["entity"]:
        yield "Look around   " + (
            f"sentinel events --entity {who} --since {around[0]} --until {around[1]}"
        )
    if alert["status"] in OPEN:
        yield f"Take it       sentinel alert {alert['id']} --status in_progress --assign NAME"
        yield (
            f"Close it      sentinel alert {alert['id']} --status resolved "
            "--disposition true_positive --reason TEXT"
        )
        yield (
            f"Expected?     sentinel suppressions add --rule {alert['rule_id']} "
            f"--entity {who} --reason TEXT --expires {EXPIRES}"
        )
    for technique in alert["techniques"][:3]:
        yield f"{technique:<13} https://attack.mitre.org/techniques/{technique.replace('.', '/')}/"


def incident_of(
    alert: Mapping[str, Any], listed: Iterable[Mapping[str, Any]], read: Any
) -> Mapping[str, Any] | None:
    """Return the incident that an alert is part of with others, None where there is none.

    Parameters
    ----------
    listed
        Incidents of the alert's entity, those seen last first.
    read
        Returns one of them with its ``members``.
    """
    for each in list(listed)[:INCIDENTS]:
        if each["alerts"] > 1:
            found: Mapping[str, Any] = read(each["id"])
            if any(member["id"] == alert["id"] for member in found["members"]):
                return found
    return None
