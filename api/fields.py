"""Field selection: ``fields=id,time,severity`` leaves the others out of every item."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeAlias

from fastapi import Query
from pydantic import BaseModel

from api.errors import Problem

#: Names asked for; None is all of them.
Chosen: TypeAlias = frozenset[str] | None
Names = Annotated[
    str | None,
    Query(max_length=500, description="Names of what to show of each item, by commas."),
]


def chooser(model: type[BaseModel]) -> Callable[[str | None], Awaitable[Chosen]]:
    """Return the dependency of a list of `model` that reads ``fields``."""
    known = list(model.model_fields)

    async def choose(fields: Names = None) -> Chosen:
        if fields is None:
            return None
        names = frozenset(filter(None, (name.strip() for name in fields.split(","))))
        if not names or not names <= set(known):
            strange = ", ".join(sorted(names - set(known))) or "none"
            raise Problem(422, f"fields: expected some of {', '.join(known)}; found {strange}")
        return names

    return choose


def cut(item: dict[str, Any], fields: Chosen) -> dict[str, Any]:
    """Return what of an item was asked for, in its own order."""
    if fields is None:
        return item
    return {name: value for name, value in item.items() if name in fields}
