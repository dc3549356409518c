"""The file of inputs that ``SENTINEL_CONNECTORS`` names: read, checked, secrets put in.

::

    - name: trail                    # unique: metric label, key of the position
      source: cloudtrail
      reader: s3
      tenant: acme                   # default: default
      settings: {bucket: logs, prefix: AWSLogs/}
    - name: okta
      source: okta
      reader: api
      settings: {domain: example.com, token: "env:OKTA_TOKEN"}

A text ``env:NAME`` or ``file:/path`` anywhere in `settings` is replaced by what it names;
secrets are taken in no other form.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from connectors._reading.base import Reader, ReaderSettings
from connectors._reading.ways import load as load_reader
from connectors._reading.ways import ways
from connectors.base import Connector
from sentinel.errors import SettingsError
from sentinel.settings import is_reference, resolve

#: Bytes of the file, and inputs in it.
MAX_BYTES: Final = 1 << 20
MAX_INPUTS: Final = 1000
DEFAULT_TENANT: Final = "default"
Problem = tuple[str, str]


class Entry(BaseModel):
    """One input as it stands in the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
    source: str
    reader: str
    tenant: Annotated[str, Field(pattern=r"^[^/\x00-\x1f]{1,128}$")] = DEFAULT_TENANT
    settings: dict[str, Any] = {}


class Input(NamedTuple):
    """One configured input, all of it checked."""

    name: str
    source: str
    way: str
    tenant: str
    settings: ReaderSettings
    connector: type[Connector]
    reader: type[Reader]

    @property
    def key(self) -> str:
        """What its position is kept under."""
        return f"{self.tenant}/{self.name}"

    def open(self) -> Reader:
        """Return a reader of it."""
        return self.reader(self.settings, self.connector())


def read(path: Path, sources: Mapping[str, type[Connector]]) -> list[Input]:
    """Read the inputs of a file, in its order.

    Raises
    ------
    SettingsError
        Names every problem: file, entry, field, what was expected and what was found.
    """
    inputs: list[Input] = []
    problems: list[str] = []
    seen: set[str] = set()
    for number, raw in enumerate(_entries(path)):
        name = raw.get("name") if isinstance(raw, dict) else None
        where = f"{path}: {name}" if isinstance(name, str) else f"{path}: entry {number + 1}"
        try:
            found = _input(raw, sources)
        except SettingsError as error:
            problems += [f"{where}: {line}" for line in str(error).split("\n")]
            continue
        if found.name in seen:
            problems.append(f"{where}: name: expected one that no other entry has, found it twice")
        seen.add(found.name)
        inputs.append(found)
    if problems:
        raise SettingsError("\n".join(problems))
    return inputs


def _entries(path: Path) -> list[Any]:
    """Return what the file lists."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise SettingsError(f"{path}: expected at most {MAX_BYTES} bytes, found {size}")
        loaded = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise SettingsError(
            f"SENTINEL_CONNECTORS: expected a readable file, found {error}"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        told = " ".join(str(error).split())
        raise SettingsError(f"{path}: expected YAML, found: {told}") from error
    if not isinstance(loaded, list) or len(loaded) > MAX_INPUTS:
        what = f"{len(loaded)}" if isinstance(loaded, list) else f"a {type(loaded).__name__}"
        raise SettingsError(f"{path}: expected a list of at most {MAX_INPUTS} inputs, found {what}")
    return loaded


def _input(raw: Any, sources: Mapping[str, type[Connector]]) -> Input:
    """Check one entry."""
    if not isinstance(raw, dict):
        raise SettingsError(f"expected name, source, reader and settings, found {raw!r:.80}")
    try:
        entry = Entry.model_validate(raw)
    except ValidationError as error:
        raise SettingsError(_told(error, "", Entry)) from None
    connector = sources.get(entry.source)
    if connector is None:
        raise SettingsError(f"source: expected one of {', '.join(sources)}, found {entry.source!r}")
    known = ways(connector)
    if entry.reader not in known:
        raise SettingsError(f"reader: expected one of {', '.join(known)}, found {entry.reader!r}")
    reader = load_reader(known[entry.reader])
    settings = _settings(reader.Settings, entry.settings)
    return Input(entry.name, entry.source, entry.reader, entry.tenant, settings, connector, reader)


def _settings(kind: type[ReaderSettings], raw: Mapping[str, Any]) -> ReaderSettings:
    """Check the settings of a reader and put the secrets in."""
    open_secrets = [
        f"settings.{name}: expected a secret as env:NAME or file:/path, found it in the file"
        for name in secrets(kind)
        if isinstance(value := raw.get(name), str) and value and not is_reference(value)
    ]
    if open_secrets:
        raise SettingsError("\n".join(open_secrets))
    try:
        return kind.model_validate(_resolved(raw))
    except ValidationError as error:
        raise SettingsError(_told(error, "settings.", kind)) from None


def _resolved(value: Any) -> Any:
    """Return `value` with what its references stand for."""
    if isinstance(value, str):
        return resolve(value)
    if isinstance(value, Mapping):
        return {key: _resolved(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolved(item) for item in value]
    return value


def secrets(kind: type[ReaderSettings]) -> frozenset[str]:
    """Return the names of the settings that are secret."""
    return frozenset(
        name for name, field in kind.model_fields.items() if "SecretStr" in str(field.annotation)
    )


def _told(error: ValidationError, prefix: str, kind: type[BaseModel]) -> str:
    """Return the problems of an entry, one a line; what was found of a secret stays unsaid."""
    hidden = secrets(kind) if issubclass(kind, ReaderSettings) else frozenset()
    return "\n".join(_line(problem, prefix, kind, hidden) for problem in error.errors())


def _line(problem: Any, prefix: str, kind: type[BaseModel], hidden: Iterable[str]) -> str:
    place = [str(part) for part in problem["loc"]]
    field = prefix + ".".join(place)
    if problem["type"] == "extra_forbidden":
        known = ", ".join(kind.model_fields)
        return f"{field}: expected one of {known}, found a setting that does not exist"
    if problem["type"] == "missing":
        return f"{field}: expected a value, found none"
    found = "a secret" if set(place) & set(hidden) else repr(problem["input"])[:80]
    return f"{field}: {problem['msg']}, found {found}"


class Setting(NamedTuple):
    """One setting of a way in, for people."""

    name: str
    type: str
    default: str
    description: str


def describe(kind: type[ReaderSettings]) -> Iterator[Setting]:
    """Yield the settings of a reader, those that must be given first."""
    fields = kind.model_fields
    for name in sorted(fields, key=lambda name: not fields[name].is_required()):
        field = fields[name]
        default = (
            "" if field.is_required() else _default(field.get_default(call_default_factory=True))
        )
        text = getattr(field.annotation, "__name__", "") if not _args(field.annotation) else ""
        shown = text or str(field.annotation)
        for module in ("typing.", "pydantic.types.", "datetime.", "pathlib."):
            shown = shown.replace(module, "")
        yield Setting(
            name,
            shown.replace("SecretStr", "secret"),
            "(required)" if field.is_required() else default,
            field.description or "",
        )


def _args(annotation: Any) -> Any:
    return getattr(annotation, "__args__", None)


def _default(value: Any) -> str:
    if value is None or (isinstance(value, SecretStr) and not value.get_secret_value()):
        return "(none)"
    if isinstance(value, list | frozenset):
        value = ", ".join(map(str, sorted(value) if isinstance(value, frozenset) else value))
    return str(value) or "(none)"
