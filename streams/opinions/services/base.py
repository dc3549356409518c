"""What a service is: how it is asked about a value, and what its answer says."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Final, NamedTuple

#: Kinds of values.
IP, DOMAIN, HASH = "ip", "domain", "hash"
KINDS: Final = (IP, DOMAIN, HASH)


class Request(NamedTuple):
    """A GET request: path below the service's URL, query and headers."""

    path: str
    params: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}


class Opinion(NamedTuple):
    """What a service says.

    Attributes
    ----------
    said
        One line for people, such as ``12 of 90 engines``.
    malicious
        Whether it says that the value is bad; None: it does not judge.
    link
        Where people can read more; empty: nowhere.
    """

    said: str
    malicious: bool | None = None
    link: str = ""


#: What a 404 means for all of them.
UNKNOWN: Final = Opinion("not known there")


class Service(ABC):
    """One service. It keeps no state and does no input or output.

    Attributes
    ----------
    title
        As people write it.
    url
        Where its API is.
    kinds
        What it can be asked about.
    per_minute, per_day
        Requests of its free plan, which are the defaults of the settings.
    """

    title: ClassVar[str]
    url: ClassVar[str]
    kinds: ClassVar[frozenset[str]]
    per_minute: ClassVar[int]
    per_day: ClassVar[int]

    @abstractmethod
    def request(self, kind: str, value: str, key: str) -> Request:
        """Return the request about a value, one of `kinds`."""

    @abstractmethod
    def read(self, kind: str, value: str, answer: Any) -> Opinion:
        """Read the JSON of a 200.

        Raises
        ------
        ValueError
            It is not as the reference says.
        """


def part(value: Any, name: str) -> Mapping[str, Any]:
    """Return the object `name` of an object.

    Raises
    ------
    ValueError
        There is none.
    """
    found = value.get(name) if isinstance(value, Mapping) else None
    if not isinstance(found, Mapping):
        raise ValueError(f"expected an object {name!r} in the answer, found {type(found).__name__}")
    return found


def count(value: Mapping[str, Any], name: str) -> int:
    """Return a number that is not negative; 0 where there is none.

    Raises
    ------
    ValueError
        There is something else.
    """
    found = value.get(name, 0)
    if isinstance(found, bool) or not isinstance(found, int) or found < 0:
        raise ValueError(f"expected a number {name!r} in the answer, found {found!r:.50}")
    return found
