"""Paths in OCSF: whether they exist, what type is there, and values turned into that type."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

from connectors._json.fields import MAX_TEXT, compact
from connectors._json.times import moment
from schemas.ocsf import classes, scalar_problem, schema

#: What the class of an event and its columns set; no mapping may.
FRAME: Final = frozenset(
    {"activity_id", "activity_name", "category_name", "category_uid", "class_name", "class_uid"}
    | {"observables", "severity", "severity_id", "status", "status_id", "time", "type_name"}
    | {"type_uid", "unmapped"}
)
_SAMPLES: Final[Mapping[str, Any]] = {
    "boolean_t": True,
    "bytestring_t": "AA==",
    "datetime_t": "2026-03-02T09:15:00Z",
    "email_t": "ada@example.com",
    "file_hash_t": "d41d8cd98f00b204e9800998ecf8427e",
    "float_t": 1.0,
    "integer_t": 1,
    "ip_t": "192.0.2.1",
    "json_t": {},
    "long_t": 1,
    "mac_t": "00:00:5e:00:53:01",
    "port_t": 1,
    "subnet_t": "192.0.2.0/24",
    "timestamp_t": 1_772_442_900_000,
    "url_t": "https://example.com/",
    "uuid_t": "0f0e1d2c-3b4a-4968-8776-958493a2b1c0",
}
_TRUTH: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


class Place(NamedTuple):
    """An attribute of a class.

    Attributes
    ----------
    names
        Attribute names on the way.
    array
        How many of `names` lead to the array of objects that is filled, 0 for none.
    attribute
        What the schema says of it.
    """

    names: tuple[str, ...]
    array: int
    attribute: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """Its OCSF type."""
        return str(self.attribute["type"])

    def sample(self) -> Any:
        """Return a value that is right, to try a mapping with."""
        if enum := self.attribute.get("enum"):
            first = next(iter(enum))
            return int(first) if self.kind in ("integer_t", "long_t") else first
        value = _SAMPLES.get(self.kind, "x")
        return [value] if self.attribute.get("is_array") else value


def find(class_uid: int, path: str) -> Place:
    """Return what is at a path of a class, such as ``src_endpoint.ip``.

    Where there is a list of objects on the way (``resources.name``), a list of values makes
    an object of each.

    Raises
    ------
    ValueError
        There is no such attribute, or it cannot be mapped; a near name is suggested.
    """
    spec = classes()[class_uid]
    where, names, array = spec["caption"], list[str](), 0
    attribute: Mapping[str, Any] = {}
    parts = path.split(".")
    for depth, name in enumerate(parts):
        known = spec["attributes"]
        if name not in known:
            near = get_close_matches(name, known, 1)
            before = ".".join(parts[:depth]) + "." if depth else ""
            hint = f"; did you mean {before}{near[0]}?" if near else ""
            raise ValueError(f"expected an attribute of {where}, found {path}{hint}")
        if depth == 0 and name in FRAME:
            raise ValueError(f"{name} is set by class, activity, time, severity and status")
        attribute = known[name]
        names.append(name)
        if attribute["type"] == "object_t":
            where = str(attribute["object_type"])
            spec = schema()["objects"][where]
            if attribute.get("is_array"):
                if array:
                    raise ValueError(f"expected at most one list of objects on the way of {path}")
                array = depth + 1
    if attribute["type"] == "object_t":
        some = ", ".join(sorted(spec["attributes"])[:8])
        raise ValueError(f"expected an attribute of the object at {path}, such as {some}")
    return Place(tuple(names), array, attribute)


def convert(value: Any, attribute: Mapping[str, Any]) -> Any:
    """Return `value` as the type of an attribute; None where it cannot be."""
    if attribute.get("is_array"):
        items = value if isinstance(value, list) else [value]
        found = [one for item in items if (one := _one(item, attribute)) is not None]
        return found or None
    if isinstance(value, list):
        value = value[0] if len(value) == 1 else None
    return _one(value, attribute)


def _one(value: Any, attribute: Mapping[str, Any]) -> Any:
    """Convert a scalar, and check it."""
    if value is None:
        return None
    kind = str(attribute["type"])
    found: Any
    if kind in ("integer_t", "long_t", "port_t"):
        found = _integer(value)
    elif kind == "timestamp_t":
        found = moment(value)
    elif kind == "boolean_t":
        found = value if isinstance(value, bool) else _TRUTH.get(str(value).lower())
    elif kind == "float_t":
        found = value if isinstance(value, float | int) and not isinstance(value, bool) else None
    elif kind == "json_t":
        found = value
    else:
        found = _text(value)
    if found is None or scalar_problem(found, kind):
        return None
    enum = attribute.get("enum")
    return found if enum is None or str(found) in enum else None


def _integer(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    try:
        return int(value) if isinstance(value, str) and len(value) < 20 else None
    except ValueError:
        return None


def _text(value: Any) -> str | None:
    if isinstance(value, dict | list):
        return compact(value)[:MAX_TEXT] if value else None
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) or None


def put(event: dict[str, Any], place: Place, value: Any) -> None:
    """Set a value, making the objects on the way; for an array, `value` is one an object."""
    here: Any = event
    for depth, name in enumerate(place.names[:-1], 1):
        if depth == place.array:
            items = here.setdefault(name, [])
            items.extend({} for _ in range(len(value) - len(items)))
            rest = Place(place.names[depth:], 0, place.attribute)
            for item, one in zip(items, value, strict=False):
                if one is not None:
                    put(item, rest, one)
            return
        here = here.setdefault(name, {})
    here[place.names[-1]] = value
    sibling = place.attribute.get("sibling")
    caption = place.attribute.get("enum", {}).get(str(value))
    if sibling and caption and sibling not in here:
        here[sibling] = caption
