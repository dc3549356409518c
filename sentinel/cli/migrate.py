"""Bring the database to the newest version of the schema."""

from __future__ import annotations

from sentinel import local
from sentinel.cli import _common
from streams.runtime import migrate


def command(json: _common.JsonOption = False) -> None:
    """Apply the migrations that the database lacks; again is harmless.

    Batch models that earlier versions kept in SENTINEL_HOME go to the database too.

    `sentinel up` does it by itself; run it where the database runs elsewhere.
    """
    settings = local.connect(_common.settings(), "postgres")
    names = migrate.apply(settings.postgres)
    if (settings.home / "models").is_dir():
        from sentinel.cli._changes.takeover import take_over

        take_over(settings.home, settings.postgres, _common.note)
    if json:
        _common.print_json(*({"applied": name} for name in names))
    else:
        _common.note(f"applied: {', '.join(names)}" if names else "nothing to apply")
