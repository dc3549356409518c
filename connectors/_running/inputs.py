"""The inputs that a command is about."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from connectors._running.config import Input, read
from connectors._sources import sources
from sentinel.errors import SettingsError
from sentinel.settings import Settings


def chosen(settings: Settings, names: Sequence[str] = ()) -> list[Input]:
    """Return the configured inputs of these names, or all.

    Raises
    ------
    SettingsError
        ``SENTINEL_CONNECTORS`` is not set, its file is wrong, or has no such input.
    """
    if not settings.connectors:
        raise SettingsError(
            "expected the file of inputs in SENTINEL_CONNECTORS, found none; "
            "CONTRIBUTING.md says what is in it, `sentinel connector describe SOURCE` the settings"
        )
    inputs = read(Path(settings.connectors), sources(settings))
    known = {target.name: target for target in inputs}
    if missing := [name for name in names if name not in known]:
        raise SettingsError(f"expected inputs among {', '.join(known)}, found {', '.join(missing)}")
    return [known[name] for name in names] if names else inputs


def moment(text: str) -> datetime:
    """Read a time, UTC where it names no zone; SettingsError where it is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(f"expected a time like 2026-03-02T09:15:00Z, found {text!r}") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
