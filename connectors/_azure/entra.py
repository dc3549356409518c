"""Entra ID's three spellings: where the columns are in each, and one record out of any.

Graph answers with the event itself; diagnostic settings put it under ``properties`` of an
envelope; Azure Monitor Logs makes columns of its fields, with a capital first letter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from connectors._json.decoder import View
from connectors._json.records import opened

#: Columns whose name is not that of the field with a capital letter.
_COLUMNS: Final = {
    "IPAddress": "ipAddress",
    "LocationDetails": "location",
    "ConditionalAccessPolicies": "appliedConditionalAccessPolicies",
    "AADOperationType": "operationType",
    "RiskEventTypes_V2": "riskEventTypes_v2",
}
_UPPER: Final = {field: column for column, field in _COLUMNS.items()}
#: What the envelope says again of an event that says it itself.
_ENVELOPE: Final = frozenset(
    {"callerIpAddress", "calleripaddress", "correlationId", "correlationid", "resultType"}
    | {"resulttype", "resultDescription", "resultdescription", "time", "location", "identity"}
)


class Spelled:
    """Paths of an event's fields in each of the three spellings.

    Parameters
    ----------
    names
        Of the fields, as Graph spells them.
    own
        More fields, those that id and time are made of.
    """

    def __init__(self, *names: str, own: tuple[str, ...]) -> None:
        names += own
        graph = {name: name for name in names}
        inside = {name: f"properties.{name}" for name in names}
        table = {name: _column(name) for name in names}
        self._spellings: tuple[Mapping[str, str], ...] = (graph, inside, table)
        self._own = frozenset(at[name] for at in self._spellings for name in own)

    def paths(self) -> Iterable[str]:
        """Return every path in every spelling, and the two that tell which one it is."""
        return {"time", "TimeGenerated", *(p for names in self._spellings for p in names.values())}

    def own(self) -> frozenset[str]:
        """Return every path that id and time are made of."""
        return self._own | {"time", "TimeGenerated"}

    def of(self, event: View) -> Mapping[str, str]:
        """Return where the fields of `event` are."""
        if event.get("TimeGenerated") is not None:
            return self._spellings[2]
        return self._spellings[1 if event.get("time") is not None else 0]


def _column(name: str) -> str:
    first, dot, rest = name.partition(".")
    return _UPPER.get(first, first[:1].upper() + first[1:]) + dot + rest


def canonical(record: dict[str, Any]) -> dict[str, Any]:
    """Return `record` in Graph's spelling, with what it had besides under its own names."""
    if "TimeGenerated" in record:
        if isinstance(record.get("LocationDetails"), str | dict):
            record.pop("Location", None)
        return {
            _COLUMNS.get(name, name[:1].lower() + name[1:]): opened(value)
            for name, value in record.items()
        }
    inner = opened(record.get("properties"))
    if not isinstance(inner, dict) or "time" not in record:
        return record
    outer = {
        name: value
        for name, value in record.items()
        if name != "properties" and name not in inner and name not in _ENVELOPE
    }
    return {**outer, **inner}
