"""Events of the Windows log in JSON, as evtx tools write them, with the fields that rules name.

``{"Event": {"System": {…}, "EventData": {…}}}`` is XML turned into JSON: a value with attributes
is ``{"#attributes": {…}, "#text": …}``. Rules speak of ``EventID``, ``Provider_Name`` (an element
and its attribute), ``CommandLine`` (of ``EventData``, or of the one element in ``UserData``), and,
whatever wrote the event, of ``Image`` where the Security log says ``NewProcessName``: Sigma's
taxonomy of process creation, https://sigmahq.io/docs/basics/log-sources.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

ATTRIBUTES, TEXT = "#attributes", "#text"
#: Event of the Security log about a started process, and how rules of that category call fields.
STARTED: Final = 4688
ALIASES: Final = {"NewProcessName": "Image", "ParentProcessName": "ParentImage"}


def is_windows(event: Mapping[str, Any]) -> bool:
    """Return whether an object is of that form."""
    found = event.get("Event")
    return isinstance(found, dict) and isinstance(found.get("System"), dict)


def flat(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event's fields by the names that rules use, besides what it has.

    >>> flat({"Event": {"System": {"EventID": {"#text": 7045}, "Provider":
    ...     {"#attributes": {"Name": "SCM"}}}, "EventData": {"ServiceName": "x"}}})["ServiceName"]
    'x'
    """
    inside = event["Event"]
    found: dict[str, Any] = dict(event)
    for name, value in inside["System"].items():
        found[name] = _text(value)
        for attribute, text in _attributes(value).items():
            found[f"{name}_{attribute}"] = text
    for part in (inside.get("EventData"), _only(inside.get("UserData"))):
        if isinstance(part, dict):
            found |= {name: _text(value) for name, value in part.items() if name != ATTRIBUTES}
            found |= _named(part.get("Data"))
    if str(found.get("EventID")) == str(STARTED):
        found |= {new: found[old] for old, new in ALIASES.items() if old in found}
    return found


def _attributes(value: Any) -> Mapping[str, Any]:
    found = value.get(ATTRIBUTES) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _text(value: Any) -> Any:
    """Return the text of an element; what else it is stays."""
    if isinstance(value, list):
        return [_text(each) for each in value]
    if isinstance(value, dict) and value.keys() <= {ATTRIBUTES, TEXT}:
        return value.get(TEXT)
    return value


def _only(part: Any) -> Any:
    """Return the element within ``UserData``, whose name says nothing to rules."""
    inner = [value for value in part.values() if isinstance(value, dict)] if part else []
    return inner[0] if len(inner) == 1 else part


def _named(data: Any) -> dict[str, Any]:
    """Return ``<Data Name="…">`` elements by their names."""
    items = data if isinstance(data, list) else [data]
    return {
        str(attributes["Name"]): _text(each)
        for each in items
        if "Name" in (attributes := _attributes(each))
    }
