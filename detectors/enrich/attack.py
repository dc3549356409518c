"""MITRE ATT&CK's names of tactics and techniques, out of its STIX bundle.

Source: MITRE ATT&CK, "Enterprise" (STIX 2.1 bundle): ``attack-pattern`` with the technique's id
in ``external_references``, tactics in ``kill_chain_phases``.
"""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any, NamedTuple

from sentinel.errors import SettingsError


class Technique(NamedTuple):
    """A technique or sub-technique; `tactics` are ids and names."""

    uid: str
    name: str
    url: str
    tactics: tuple[tuple[str, str], ...]


class Attack:
    """Techniques by id; deprecated and revoked ones are left out.

    Parameters
    ----------
    path
        The bundle, gzip or not; None: no names are known.

    Raises
    ------
    SettingsError
        It is no such bundle.
    """

    def __init__(self, path: Path | None = None) -> None:
        objects = _objects(path) if path else []
        tactics = {
            str(each.get("x_mitre_shortname")): (reference[0], str(each.get("name", "")))
            for each in objects
            if each.get("type") == "x-mitre-tactic" and (reference := _reference(each))
        }
        found = (_technique(each, tactics) for each in objects)
        self._techniques = {each.uid: each for each in found if each is not None}

    def __len__(self) -> int:
        return len(self._techniques)

    def find(self, uid: str) -> Technique | None:
        """Return a technique by its id, ``T1078`` or ``T1078.004``; None where it is not known."""
        return self._techniques.get(uid.upper())

    def ocsf(self, uid: str) -> dict[str, Any]:
        """Return OCSF's ``attack`` object of a technique's id; names where they are known."""
        parent, _, sub = uid.upper().partition(".")
        found, above = self.find(uid), self.find(parent)
        made: dict[str, Any] = {"technique": _named(parent, above)}
        if sub:
            made["sub_technique"] = _named(uid.upper(), found)
        of = found or above
        if of and of.tactics:
            made["tactic"] = {"uid": of.tactics[0][0], "name": of.tactics[0][1]}
        return made


def _objects(path: Path) -> list[Any]:
    """Return the objects of a bundle."""
    try:
        raw = path.read_bytes()
        document = json.loads(gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw)
    except (OSError, ValueError, EOFError, zlib.error, RecursionError) as error:
        raise SettingsError(f"expected ATT&CK's STIX bundle at {path}, found: {error}") from error
    objects = document.get("objects") if isinstance(document, dict) else None
    if not isinstance(objects, list):
        raise SettingsError(f"expected a STIX bundle with objects at {path}, found none in it")
    return [each for each in objects if isinstance(each, dict)]


def _technique(each: dict[str, Any], tactics: dict[str, tuple[str, str]]) -> Technique | None:
    reference = _reference(each)
    gone = each.get("revoked") is True or each.get("x_mitre_deprecated") is True
    if each.get("type") != "attack-pattern" or gone or reference is None:
        return None
    phases = each.get("kill_chain_phases")
    names = [
        str(phase.get("phase_name"))
        for phase in (phases if isinstance(phases, list) else [])
        if isinstance(phase, dict)
    ]
    listed = tuple(tactics.get(name, ("", name)) for name in names)
    return Technique(reference[0], str(each.get("name", "")), reference[1], listed)


def _reference(each: dict[str, Any]) -> tuple[str, str] | None:
    """Return ATT&CK's own id and address of an object."""
    references = each.get("external_references")
    for reference in references if isinstance(references, list) else []:
        if isinstance(reference, dict) and reference.get("source_name") == "mitre-attack":
            return str(reference.get("external_id", "")), str(reference.get("url", ""))
    return None


def _named(uid: str, found: Technique | None) -> dict[str, str]:
    return {"uid": uid} | ({"name": found.name, "src_url": found.url} if found else {})
