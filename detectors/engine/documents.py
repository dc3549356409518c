"""The YAML documents of a rule file, with the line at which each starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

import yaml
from sigma.collection import deep_dict_update

_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Loader(_BASE):  # type: ignore[misc]
    """A safe YAML loader that refuses a key that occurs twice: half the rule would be lost."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """Build a mapping; raise ConstructorError where a key occurs twice."""
        seen: set[Any] = set()
        for key, _ in node.value:
            if key.value.__hash__ and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} occurs twice", key.start_mark
                )
            seen.add(key.value if key.value.__hash__ else id(key))
        return super().construct_mapping(node, deep)


def documents(content: bytes) -> Iterator[tuple[int, int, Any]]:
    """Yield number, line and content of each document that is a rule or means to be one.

    Collection actions are applied.

    Raises
    ------
    yaml.YAMLError
        The file is no YAML, or a key occurs twice.
    """
    found = list(yaml.load_all(content, Loader=Loader))
    lines = _starts(content)
    for index, document in enumerate(_merged(found)):
        if document is not None:
            yield index, lines[index] if index < len(lines) else 1, document


def _starts(content: bytes) -> list[int]:
    """Return the line at which each document of a file starts, from 1."""
    lines = content.split(b"\n")
    marks = [number for number, line in enumerate(lines, 1) if line.rstrip() == b"---"]
    first = marks[0] if marks else 0
    bare = [line for line in lines[: first - 1] if line.strip() and not line.startswith(b"#")]
    return [mark + 1 for mark in marks] if marks and not bare else [1, *(m + 1 for m in marks)]


def _merged(documents: Sequence[Any]) -> Iterator[Any]:
    """Apply Sigma's collection actions (``global``, ``reset``, ``repeat``); None is no rule.

    The same merging as `sigma.collection.SigmaCollection.from_dicts`.
    """
    template: dict[Any, Any] = {}
    previous: dict[Any, Any] = {}
    for document in documents:
        action = document.get("action") if isinstance(document, dict) else None
        if action == "global":
            template = {key: value for key, value in document.items() if key != "action"}
            previous = template
            yield None
        elif action == "reset":
            template = {}
            yield None
        elif action == "repeat":
            addition = {key: value for key, value in document.items() if key != "action"}
            previous = deep_dict_update(deepcopy(previous), addition)
            yield previous
        elif isinstance(document, dict) and "correlation" not in document:
            previous = deep_dict_update(deepcopy(document), template)
            yield previous
        else:
            yield document
