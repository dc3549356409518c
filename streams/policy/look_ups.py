"""What is known of the addresses and names in an event, added where it becomes OCSF.

Off the hot path: an alert's evidence is written out once, with what was known at that time,
so that whoever looks at it later sees what Sentinel saw. Nothing is asked of the network.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from detectors.enrich.event import enrich
from detectors.enrich.folder import Watch
from sentinel.settings import Settings

OCSF = dict[str, Any]


def look_ups(settings: Settings) -> Callable[[OCSF], OCSF] | None:
    """Return what adds it, kept up to date with the folder; None where none is set.

    Raises
    ------
    SettingsError
        The folder is missing, or has a database or context file that is none.
    """
    if not settings.intel:
        return None
    watch = Watch(Path(settings.intel))
    return lambda event: enrich(event, watch.enricher)
