"""Activities of the Reports API, taken apart: one event each, parameters by name.

An activity is one request of one actor, and may hold several events (a user created, and
licensed, and put into a group). Each is what a rule is about and a person counts, so each
becomes a unit: the activity with that event alone, and ``eventIndex``, its place, which with
the activity's own id makes an id that is the same whenever the activity is read again. An
activity with one event, which is nearly every one, is carried on byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from connectors._json.objects import items

_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
#: Where a parameter's value is, by its type.
_VALUES: Final = (
    *("value", "intValue", "boolValue", "multiValue", "multiIntValue"),
    *("messageValue", "multiMessageValue"),
)
MOST_EVENTS: Final = 10_000
"""Events taken out of one activity; more of them cannot be meant."""


def single(value: bytes) -> Iterable[bytes]:
    """Return an activity once for each of its events; as it is where that cannot be told."""
    try:
        activity = _object(value)
        events = _list(activity.get("events", b"[]"))
    except (ValueError, RecursionError):
        return (value,)  # the decoder says what is wrong with it
    if len(events) < 2 or len(events) > MOST_EVENTS:
        return (value,)
    rest = {name: part for name, part in activity.items() if name not in ("events", "eventIndex")}
    return [
        msgspec.json.encode({**rest, "eventIndex": index, "events": [event]})
        for index, event in enumerate(events)
    ]


def parameter_value(parameter: dict[str, Any]) -> Any:
    """Return the value of a parameter, of whatever type; None where it has none."""
    return next((found for name in _VALUES if (found := parameter.get(name)) is not None), None)


def parameters(event: Any) -> dict[str, Any]:
    """Return the parameters of an event by name; of one that is there twice the first."""
    found: dict[str, Any] = {}
    if isinstance(event, dict):
        for each in items(event.get("parameters")):
            name = each.get("name")
            if isinstance(name, str) and name not in found:
                found[name] = parameter_value(each)
    return found


def first(events: Any) -> dict[str, Any]:
    """Return the event of a unit; empty where there is none."""
    return next(iter(items(events)), {})
