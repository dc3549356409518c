"""What an analyst pivots on in an OCSF event, each value once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from connectors.base import OCSF

#: Path, OCSF observable type (``observable.type_id``) and its caption.
Path = tuple[str, int, str]
PATHS: Final[tuple[Path, ...]] = (
    ("src_endpoint.ip", 2, "IP Address"),
    ("dst_endpoint.ip", 2, "IP Address"),
    ("device.ip", 2, "IP Address"),
    ("src_endpoint.hostname", 1, "Hostname"),
    ("dst_endpoint.hostname", 1, "Hostname"),
    ("device.hostname", 1, "Hostname"),
    ("actor.user.name", 4, "User Name"),
    ("user.name", 4, "User Name"),
    ("actor.user.email_addr", 5, "Email Address"),
    ("user.email_addr", 5, "Email Address"),
    ("actor.user.uid", 31, "User Object: uid"),
    ("user.uid", 31, "User Object: uid"),
    ("group.name", 32, "Group Object: name"),
    ("http_request.user_agent", 16, "HTTP User-Agent"),
    ("http_request.url.url_string", 6, "URL String"),
    ("query.hostname", 1, "Hostname"),
    ("process.name", 9, "Process Name"),
    ("process.cmd_line", 13, "Command Line"),
    ("process.file.path", 45, "File Path"),
    ("file.path", 45, "File Path"),
    ("file.name", 7, "File Name"),
)
#: Values kept of one event; more of them is a list, not a pivot.
MOST: Final = 32


def observables(
    event: OCSF, paths: tuple[Path, ...] = PATHS, most: int | None = MOST
) -> list[dict[str, Any]]:
    """Return the ``observables`` of an event: those at `paths` and the ids of its resources.

    At most so many; None: all of them.
    """
    found: dict[tuple[int, str], dict[str, Any]] = {}
    for first, names, path, type_id, kind in _steps(paths):
        value: Any = event.get(first)
        if value is None:  # as most are
            continue
        for name in names:
            value = value.get(name) if value.__class__ is dict else None
        if value.__class__ is str and value and (type_id, value) not in found:
            row = {"name": path, "type": kind, "type_id": type_id, "value": value}
            found[type_id, value] = row
    for index, item in enumerate(event.get("resources", ())):
        if uid := item.get("uid"):
            row = {"name": f"resources[{index}].uid", "type": "Resource UID", "type_id": 10}
            found.setdefault((10, uid), row | {"value": uid})
    return list(found.values())[:most]


@cache
def _steps(paths: tuple[Path, ...]) -> list[tuple[str, Sequence[str], str, int, str]]:
    """Return the first name of each path, the others, and what `paths` says of it."""
    names = [path.split(".") for path, _, _ in paths]
    return [(name[0], name[1:], *path) for name, path in zip(names, paths, strict=True)]
