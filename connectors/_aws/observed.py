"""What an analyst pivots on in the evidences of a finding: addresses, names, users, files."""

from __future__ import annotations

from typing import Final

from connectors._json.observables import MOST, PATHS, observables
from connectors.base import OCSF

#: The paths of an event that an evidence has as well.
_WITHIN: Final = {path for path, _, _ in PATHS}


def with_evidences(event: OCSF) -> OCSF:
    """Return a finding whose ``observables`` have those of its evidences too, each once."""
    found = list(event.get("observables", ()))
    known = {(each["type_id"], each["value"]) for each in found}
    for index, evidence in enumerate(event.get("evidences", ())):
        for each in observables(evidence):
            if each["name"] in _WITHIN and (each["type_id"], each["value"]) not in known:
                known.add((each["type_id"], each["value"]))
                found.append(each | {"name": f"evidences[{index}].{each['name']}"})
    return {**event, "observables": found[:MOST]} if found else event
