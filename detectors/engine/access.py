"""How the fields and the text of an event are read, where no connector says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from detectors.engine.values import text_of
from schemas.typed import walk

Getter = Callable[[Any], Any]
Text = Callable[[Any], str | list[str]]
Raw = Callable[[Any], bytes]


def dict_getter(field: str) -> Getter:
    """Return a getter for decoded JSON objects: the exact key, else a dotted path.

    A list on the path stands for its items (see `schemas.typed.walk`).

    >>> dict_getter("a.b")({"a": {"b": 1}}), dict_getter("a.b")({"a.b": 2, "a": {"b": 1}})
    (1, 2)
    >>> dict_getter("a.b")({"a": [{"b": 1}, {"b": 2}]})
    [1, 2]
    """
    if "." not in field:
        return lambda event: event.get(field) if isinstance(event, dict) else None
    first, *rest = names = field.split(".")

    def get(event: Any) -> Any:
        if not isinstance(event, dict):
            return None
        value = event.get(field)
        if value is not None:
            return value
        value = event.get(first)
        for name in rest:
            if value.__class__ is not dict:
                return None if value is None else walk(event, names)
            value = value.get(name)
        return value

    return get


def event_text(event: Any) -> str | list[str]:
    """Return the text of an event, or its texts, that keywords are searched in.

    Raises
    ------
    TypeError
        The event is neither text nor a dict: give the matcher a `text` function.
    """
    if isinstance(event, str):
        return event
    if isinstance(event, bytes):
        return event.decode(errors="replace")
    if isinstance(event, dict):
        return _texts(event)
    raise TypeError(
        f"keywords need the text of an event: expected str, bytes or dict, found "
        f"{type(event).__name__}; give the matcher a `text` function"
    )


def _texts(event: dict[str, Any]) -> list[str]:
    texts: list[str] = []
    nodes: list[Any] = [event]
    for node in nodes:  # grows while it is walked, so that depth costs no stack
        for value in node.values() if node.__class__ is dict else node:
            kind = value.__class__
            if kind is str:
                texts.append(value)
            elif kind is dict or kind is list:
                nodes.append(value)
            elif kind is bool:
                texts.append("true" if value else "false")
            elif value is not None:
                texts.append(text_of(value))
    return texts


def remembering(text: Text) -> Text:
    """Return `text` remembering the last event: the index and several rules ask for it."""
    last: list[Any] = [None, ""]

    def get(event: Any) -> str | list[str]:
        if event is not last[0]:
            last[:] = event, text(event)
        found: str | list[str] = last[1]
        return found

    return get
