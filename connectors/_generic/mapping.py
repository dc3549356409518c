"""A mapping file: what is in it, and what is wrong with it.

::

    description: Sign-ins of our portal.
    product: {name: Portal, vendor_name: Example}
    logsource: {product: portal, service: auth}      # which Sigma rules see its events
    envelope: {lists: [events]}                      # messages may wrap events in this key
    time: ts                                         # or {field: ts, format: "%d.%m.%Y %H:%M"}
    id: event_id                                     # what the source calls the event
    entity: [user.id, user.name]                     # who acts: the first there is
    operation: action
    src_ip: ip
    severity: {field: level, map: {info: 1, warn: 3}, default: 1}
    status: {field: result, map: {ok: 1, failed: 2}}
    classes:                                         # the first that fits
      - when: {type: [login, logout]}
        class: 3002
        activity: {field: type, map: {login: 1, logout: 2}}
        map: {user.name: user.name, service.name: {const: portal}}
      - class: 6003
        map: {api.operation: action, actor.user.name: user.name}
    map:                                             # in every class that has the attribute
      src_endpoint.ip: ip
      message: {field: [message, text], default: "-"}

A mapping is tried when it is loaded: the event made of it has to be valid OCSF.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from sentinel.errors import SettingsError

MAX_BYTES: Final = 1 << 20
Scalar = str | int | float | bool | None


def _several(value: Any) -> Any:
    return [value] if isinstance(value, str | dict) else value


#: One field or several, of which the first that is there counts.
Fields = Annotated[tuple[str, ...], BeforeValidator(_several)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Take(_Strict):
    """Where a value comes from.

    Attributes
    ----------
    field
        Fields of the event, dotted; the first that is there counts.
    map
        Values of the field and what they stand for; what is not in it is `default`.
    default
        Where no field is there, or it is not in `map`.
    """

    field: Fields = ()
    map: dict[str, Scalar] = {}
    default: Scalar = None


def _take(value: Any) -> Any:
    if isinstance(value, str | list):
        return {"field": value}
    if isinstance(value, Mapping) and set(value) == {"const"}:
        return {"default": value["const"]}
    return {"default": value} if isinstance(value, int) else value


Source = Annotated[Take, BeforeValidator(_take)]


class Time(_Strict):
    """When it happened; `format` as `datetime.strptime` has it, none: ISO 8601 or a number."""

    field: Fields
    format: str = ""


class Log(_Strict):
    """A Sigma log source."""

    product: str = ""
    category: str = ""
    service: str = ""


class Product(_Strict):
    """OCSF ``metadata.product``."""

    name: str
    vendor_name: str


class Wrapping(_Strict):
    """How messages wrap events; see `connectors._json.envelope.Envelope`."""

    lists: Fields = ()
    inner: Fields = ()


class ClassRule(_Strict):
    """A class of OCSF, when it is the one, and what only it has."""

    when: dict[str, Annotated[list[Scalar], BeforeValidator(
        lambda value: value if isinstance(value, list) else [value])]] = {}  # fmt: skip
    uid: int = Field(alias="class")
    activity: Source = Take(default=99)
    map: dict[str, Source] = {}


class Mapped(_Strict):
    """A mapping file."""

    description: str
    product: Product
    logsource: Annotated[tuple[Log, ...], BeforeValidator(_several), Field(min_length=1)]
    envelope: Wrapping = Wrapping()
    time: Annotated[Time, BeforeValidator(
        lambda value: {"field": value} if isinstance(value, str | list) else value)]  # fmt: skip
    id: Fields = ()
    entity: Fields = ()
    operation: Fields = ()
    service: Fields = ()
    src_ip: Fields = ()
    user_agent: Fields = ()
    region: Fields = ()
    severity: Source = Take(default=1)
    status: Source = Take(default=0)
    classes: Annotated[list[ClassRule], Field(min_length=1)]
    map: dict[str, Source] = {}

    def columns(self) -> Iterator[str]:
        """Yield the fields that the columns of an event are made of."""
        yield from self.time.field
        for each in (self.id, self.entity, self.operation, self.service, self.src_ip):
            yield from each
        yield from (*self.user_agent, *self.region, *self.severity.field, *self.status.field)
        for rule in self.classes:
            yield from (*rule.when, *rule.activity.field)


def load(path: Path) -> Mapped:
    """Read a mapping file.

    Raises
    ------
    SettingsError
        It cannot be read, or a setting in it is wrong; every problem is named.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise SettingsError(f"{path}: expected at most {MAX_BYTES} bytes, found {size}")
        raw = yaml.safe_load(path.read_bytes())
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        told = " ".join(str(error).split())
        raise SettingsError(f"{path}: expected a mapping in YAML, found: {told}") from error
    try:
        return Mapped.model_validate(raw)
    except ValidationError as error:
        raise SettingsError("\n".join(f"{path}: {line}" for line in problems(error))) from None


def problems(error: ValidationError) -> Iterator[str]:
    """Yield what is wrong, one sentence a problem."""
    for problem in error.errors():
        place = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "missing":
            yield f"{place}: expected a value, found none"
        elif problem["type"] == "extra_forbidden":
            yield f"{place}: there is no such setting"
        else:
            yield f"{place}: {problem['msg']}, found {problem['input']!r:.80}"
