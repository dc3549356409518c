"""Whom a suppression is about: rules, sources, entities, techniques, kinds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import translate
from functools import cached_property
from ipaddress import ip_address, ip_network
from typing import Any, Final

import msgspec

from sentinel.errors import SettingsError

#: Longest list, and longest item of one.
MOST, LONGEST = 1000, 1024
KINDS: Final = ("rule", "model", "correlation", "risk", "finding")
_Test = Callable[[str], bool]


class Scope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """Any of each list that is not empty, and all of the lists; none at all is everything.

    Attributes
    ----------
    rules, sources
        Ids and names; ``*`` and ``?`` stand for any characters, as in file names.
    entities
        The same, upper and lower case alike; or networks (``192.0.2.0/24``) of entities that
        are addresses.
    techniques
        ATT&CK ids; a technique includes its sub-techniques.
    kinds
        Among `KINDS`.

    Examples
    --------
    >>> Scope(rules=("aws_*",), entities=("192.0.2.0/24",)).holds(
    ...     {"rule_id": "aws_root", "entity": "192.0.2.7"})
    True
    """

    rules: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    techniques: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()

    def holds(self, alert: Mapping[str, Any]) -> bool:
        """Return whether it is about an alert: `rule_id`, `source`, `entity` and so on."""
        if self.kinds and alert.get("kind") not in self.kinds:
            return False
        if self.techniques and not self._technique(alert.get("techniques") or ()):
            return False
        named = zip(("rule_id", "source", "entity"), self._tests, strict=True)
        return all(
            not tests or any(test(str(alert.get(name, ""))) for test in tests)
            for name, tests in named
        )

    def _technique(self, found: Sequence[str]) -> bool:
        above = {technique.partition(".")[0] for technique in found}
        return not above.union(found).isdisjoint(self.techniques)

    @cached_property
    def _tests(self) -> tuple[list[_Test], list[_Test], list[_Test]]:
        return (
            [_glob(each) for each in self.rules],
            [_glob(each) for each in self.sources],
            [_entity(each) for each in self.entities],
        )


def check(scope: Scope) -> Scope:
    """Return a scope as it is kept.

    Raises
    ------
    SettingsError
        A list or item is too long or empty, or a kind unknown.
    """
    for name in scope.__struct_fields__:
        items = getattr(scope, name)
        if len(items) > MOST:
            raise SettingsError(f"scope: expected at most {MOST} {name}, found {len(items)}")
        for item in items:
            if not 0 < len(item) <= LONGEST:
                raise SettingsError(
                    f"scope: expected {name} of 1 to {LONGEST} characters, found {len(item)}"
                )
    if unknown := sorted({*scope.kinds} - {*KINDS}):
        raise SettingsError(f"scope: expected kinds among {', '.join(KINDS)}, found {unknown[0]!r}")
    return msgspec.structs.replace(scope, techniques=tuple(map(str.upper, scope.techniques)))


def _glob(pattern: str, flags: int = 0) -> _Test:
    if not any(each in pattern for each in "*?[") and not flags:
        return pattern.__eq__
    found = re.compile(translate(pattern), flags).match  # of atomic groups: it never backtracks
    return lambda text: found(text[:LONGEST]) is not None


def _entity(pattern: str) -> _Test:
    try:
        network = ip_network(pattern, strict=False)
    except ValueError:
        return _glob(pattern, re.IGNORECASE)

    def inside(entity: str) -> bool:
        try:
            return ip_address(entity) in network
        except ValueError:
            return False

    return inside
