"""The file that ``SENTINEL_OPINIONS`` names: whom to ask, about what, how often.

::

    services:
      virustotal: {key: "env:VT_API_KEY"}              # quota: that of its free plan
      abuseipdb: {key: "file:/run/secrets/abuseipdb", per_day: 3000}
    kinds: [ip, hash]             # default; add domain if names in your logs may be known
    never: [203.0.113.0/24, .corp.example]   # what is yours, though it looks public
    min_severity: medium          # of alerts
    keep_h: 24                    # hours until an answer is asked for again
    most: 5                       # values of an alert that each service is asked about

Without the file nothing is asked, so nothing leaves the machine. Addresses that are not
public are never sent, whatever it says.
"""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

import streams.opinions.services
from sentinel.errors import SettingsError
from sentinel.registry import discover
from sentinel.settings import is_reference, resolve
from streams.opinions.services.base import Service

MOST_BYTES: Final = 1 << 16


class ServiceOptions(BaseModel):
    """One service of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: Annotated[str, Field(repr=False)]
    url: str = ""
    per_minute: Annotated[int, Field(ge=1, le=6000)] | None = None
    per_day: Annotated[int, Field(ge=1)] | None = None
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 15.0

    @field_validator("key")
    @classmethod
    def _elsewhere(cls, key: str) -> str:
        if not is_reference(key):
            raise ValueError("expected env:NAME or file:/path; keys do not stand in this file")
        return resolve(key)


class Options(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    services: dict[str, ServiceOptions]
    kinds: frozenset[Literal["ip", "domain", "hash"]] = frozenset({"ip", "hash"})
    never: tuple[str, ...] = ()
    min_severity: Literal["informational", "low", "medium", "high", "critical"] = "medium"
    keep_h: Annotated[float, Field(gt=0)] = 24.0
    most: Annotated[int, Field(ge=1, le=100)] = 5

    @field_validator("services")
    @classmethod
    def _known(cls, services: dict[str, ServiceOptions]) -> dict[str, ServiceOptions]:
        if unknown := sorted(set(services) - set(found())):
            raise ValueError(f"expected services of {', '.join(found())}, found {unknown}")
        return services

    @field_validator("never")
    @classmethod
    def _readable(cls, never: tuple[str, ...]) -> tuple[str, ...]:
        for each in never:
            if "/" in each:
                ip_network(each)
        return tuple(each.lower() for each in never)


def found() -> dict[str, type[Service]]:
    """Return every service that there is, by name."""
    return discover(streams.opinions.services, Service)  # type: ignore[type-abstract]


def load(path: Path) -> Options:
    """Read the file.

    Raises
    ------
    SettingsError
        It cannot be read, or is not as the module says; keys are not in the message.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            raise SettingsError(f"{path}: expected at most {MOST_BYTES} bytes")
        return Options.model_validate(yaml.safe_load(text))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"SENTINEL_OPINIONS: expected YAML at {path}, {error}") from error
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise SettingsError(f"SENTINEL_OPINIONS, {path}: {told}") from None
