"""All sources there are: the connectors beside this module, and the mapping files of people."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import connectors
from connectors.base import Connector
from sentinel.errors import SettingsError
from sentinel.registry import discover
from sentinel.settings import Settings

#: What a source may be called: its name is part of the name of its topic.
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")
SUFFIX: Final = ".yml"


def sources(settings: Settings) -> dict[str, type[Connector]]:
    """Return every source by name: connectors, then ``NAME.yml`` of ``SENTINEL_MAPPINGS``.

    Raises
    ------
    SettingsError
        The directory or a mapping file in it is wrong; the message names each problem.
    """
    found = discover(connectors, Connector)  # type: ignore[type-abstract]
    return {**found, **_mapped(Path(settings.mappings), found)} if settings.mappings else found


def _mapped(folder: Path, known: dict[str, type[Connector]]) -> dict[str, type[Connector]]:
    """Return the sources of the mapping files in a directory."""
    from connectors._generic import mapping, source

    if not folder.is_dir():
        raise SettingsError(f"SENTINEL_MAPPINGS: expected a directory, found {folder}")
    made: dict[str, type[Connector]] = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        name = path.stem
        if not _NAME.match(name):
            raise SettingsError(f"{path}: expected a name of a-z, 0-9 and _, found {name!r}")
        if name in known:
            raise SettingsError(f"{path}: there is a source {name} already: choose another name")
        loaded = mapping.load(path)
        try:
            made[name] = source.connector(name, loaded)
        except SettingsError as error:
            lines = str(error).split("\n")
            raise SettingsError("\n".join(f"{path}: {line}" for line in lines)) from None
    return made
