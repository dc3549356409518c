"""All sources there are: the connectors beside this module, and the mapping files of people."""

from __future__ import annotations

import connectors
from connectors.base import Connector
from sentinel.registry import discover
from sentinel.settings import Settings


def sources(settings: Settings) -> dict[str, type[Connector]]:
    """Return every source by name; raise SettingsError where a mapping file is wrong."""
    return discover(connectors, Connector)  # type: ignore[type-abstract]
