"""What is known of the addresses and names in an event: for rules, and where it becomes OCSF.

Rules that ask for it (`streams.policy.known`) get it in normalize. The rest is off the hot
path: an alert's evidence is written out once, with what was known at that time,
so that whoever looks at it later sees what Sentinel saw. Nothing is asked of the network.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from detectors.enrich.enricher import Enricher
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
    found = enricher(settings)
    return None if found is None else lambda event: enrich(event, found)


def enricher(settings: Settings) -> Enricher | None:
    """Return what looks things up, one in a process; None where no folder is set.

    Raises
    ------
    SettingsError
        As `look_ups`.
    """
    return _watch(Path(settings.intel)).enricher if settings.intel else None


@cache
def _watch(folder: Path) -> Watch:
    """Return the watch over a folder: a million indicators are held once, whoever asks."""
    return Watch(folder)
