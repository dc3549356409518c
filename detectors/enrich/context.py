"""Whose it is: assets and people out of a CSV or JSON file that an organisation keeps.

Columns (CSV header, or keys of JSON objects in a list):

``key``          what events call it: an address, a network, a host name, an ARN, a user name
``kind``         ``asset`` or ``identity``; default: by the file's name (``identities.csv``)
``name``         what people call it
``owner``        person or team who answers for it
``criticality``  ``low``, ``medium``, ``high`` or ``critical``
``environment``  ``production``, ``test``, …
``tags``         separated by ``;``, or a list

Further columns are kept under `Entry.more`. The most specific network counts.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from detectors.enrich.networks import NONE, Networks
from sentinel.errors import SettingsError

KINDS: Final = ("asset", "identity")
CRITICALITIES: Final = ("low", "medium", "high", "critical")
_KNOWN: Final = ("key", "kind", "name", "owner", "criticality", "environment", "tags")
_MOST: Final = 16
_LONGEST: Final = 512


class Entry(NamedTuple):
    """One asset or identity."""

    key: str
    kind: str
    name: str = ""
    owner: str = ""
    criticality: str = ""
    environment: str = ""
    tags: tuple[str, ...] = ()
    more: tuple[tuple[str, str], ...] = ()


def load(path: Path) -> Iterator[Entry]:
    """Yield the entries of a CSV or JSON file.

    Raises
    ------
    SettingsError
        The file cannot be read, or a row lacks ``key`` or has another criticality; it says
        which row.
    """
    default = "identity" if path.name.lower().startswith(("identit", "user")) else "asset"
    try:
        if path.suffix.lower() == ".json":
            rows: Any = json.loads(path.read_bytes())
        else:
            rows = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise SettingsError(f"expected assets or identities in {path}, found: {error}") from error
    if not isinstance(rows, list):
        raise SettingsError(f"expected a list of objects in {path}, found {type(rows).__name__}")
    for number, row in enumerate(rows, 1):
        yield _entry(row, f"{path}, entry {number}", default)


def _entry(row: Any, where: str, default: str) -> Entry:
    if not isinstance(row, dict) or not isinstance(row.get("key"), str) or not row["key"].strip():
        raise SettingsError(f"{where}: expected a key (address, network, host, user), found none")
    kind = str(row.get("kind") or default).strip().lower()
    criticality = str(row.get("criticality") or "").strip().lower()
    if kind not in KINDS:
        raise SettingsError(f"{where}: expected kind among {', '.join(KINDS)}, found {kind!r}")
    if criticality and criticality not in CRITICALITIES:
        raise SettingsError(
            f"{where}: expected criticality among {', '.join(CRITICALITIES)}, found {criticality!r}"
        )
    tags = row.get("tags")
    tags = tags.split(";") if isinstance(tags, str) else tags if isinstance(tags, list) else []
    more = [
        (str(name)[:_LONGEST], str(value)[:_LONGEST])
        for name, value in row.items()
        if name not in _KNOWN and isinstance(value, str | int | float) and value != ""
    ]
    return Entry(
        key=row["key"].strip()[:_LONGEST],
        kind=kind,
        name=str(row.get("name") or "")[:_LONGEST],
        owner=str(row.get("owner") or "")[:_LONGEST],
        criticality=criticality,
        environment=str(row.get("environment") or "")[:_LONGEST],
        tags=tuple(str(tag).strip()[:_LONGEST] for tag in tags[:_MOST] if str(tag).strip()),
        more=tuple(more[:_MOST]),
    )


class Context:
    """Entries by what events call them; immutable. Of two with one key, the later counts."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        listed = list(entries)
        self._networks = Networks(entry.key for entry in listed)
        self._by_place: dict[int, Entry] = {}
        self._by_name: dict[str, Entry] = {}
        for entry, place in zip(listed, self._networks.places.tolist(), strict=True):
            if place == NONE:
                self._by_name[entry.key.lower()] = entry
            else:
                self._by_place[place] = entry

    def find(self, values: Sequence[str]) -> list[Entry | None]:
        """Return the entry of each value: an address by its network, a name as it is spelled.

        Upper and lower case are the same; a host name is also looked up without its domain.
        """
        places = self._networks.find(values).tolist()
        return [
            self._by_place[place] if place != NONE else self._named(value)
            for place, value in zip(places, values, strict=True)
        ]

    def _named(self, value: str) -> Entry | None:
        low = value.lower()
        return self._by_name.get(low) or self._by_name.get(low.partition(".")[0])
