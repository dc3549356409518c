"""Show what runs, where it answers, and how often it was restarted."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import psutil

from sentinel.cli import _common
from sentinel.errors import StackError
from sentinel.local import home
from sentinel.settings import Settings

COLUMNS = ("part", "state", "address", "pid", "restarts", "memory_mb")


def command(json: _common.JsonOption = False) -> None:
    """List the parts of the running stack; fails if none runs here."""
    settings = _common.settings()
    rows = parts(settings)
    if json:
        _common.print_json(*rows)
        return
    title = f"Stack in {settings.home.resolve()}"
    _common.print_table(title, COLUMNS, [[row[column] for column in COLUMNS] for row in rows])


def parts(settings: Settings) -> list[dict[str, Any]]:
    """Return one row a part, its keys `COLUMNS`.

    State is ``ready``, ``starting`` (or being restarted) or ``external``.

    Raises
    ------
    StackError
        No stack runs in SENTINEL_HOME.
    """
    folder = settings.home.resolve()
    facts = home.facts(folder)
    if facts is None:
        raise StackError(f"not running: run `sentinel up` (home: {folder})")
    running: dict[str, Any] = facts["parts"]
    names = list(dict.fromkeys(["kafka", "postgres", *running]))
    where = {name: _common.without_password(facts.get(name, "")) for name in names}
    return [_row(name, running.get(name), where[name]) for name in names]


def _row(name: str, part: dict[str, Any] | None, address: str) -> dict[str, Any]:
    if part is None:
        values: tuple[Any, ...] = ("external", address, None, None, None)
    else:
        memory = _memory_mb(part["pid"])
        state = "ready" if part["ready"] and memory is not None else "starting"
        values = (state, address, part["pid"], part["restarts"], memory)
    return dict(zip(COLUMNS, (name, *values), strict=True))


def _memory_mb(pid: int | None) -> int | None:
    if pid is not None:
        with suppress(psutil.NoSuchProcess):
            return int(psutil.Process(pid).memory_info().rss // 1_000_000)
    return None
