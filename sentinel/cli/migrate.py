"""Bring the database to the newest version of the schema."""

from __future__ import annotations

from sentinel import local
from sentinel.cli import _common
from streams.runtime import migrate


def command(json: _common.JsonOption = False) -> None:
    """Apply the migrations that the database lacks; again is harmless.

    `sentinel up` does it by itself; run it where the database runs elsewhere.
    """
    settings = local.connect(_common.settings(), "postgres")
    names = migrate.apply(settings.postgres)
    if json:
        _common.print_json(*({"applied": name} for name in names))
    else:
        _common.note(f"applied: {', '.join(names)}" if names else "nothing to apply")
