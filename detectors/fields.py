"""Sigma's generic taxonomies: what a rule of a category asks of a source that has the category.

A rule that states a category (``process_creation``) uses the field names of Sigma's
taxonomy for it (``Image``, ``CommandLine``), and is about events of that category only.
A source that has several categories needs to know which one a field belongs to: it
gets the name with the category in front (``file_event.Image``), and the field
``@category`` for the category of the event. A rule that states none uses the source's
own field names, which are passed on as they are.

Source: Sigma taxonomy appendix, version 2.1.0.
"""

from __future__ import annotations

from typing import Final

import msgspec

from detectors.engine import condition as c
from detectors.engine.witness.index import clauses_of

#: Fields of look-ups (`streams.policy.known`), the same for every source.
KNOWN: Final = "intel."


def qualified(rule: c.Rule) -> c.Rule:
    """Return the rule as asked of a source with categories; unchanged where it states none."""
    category = rule.logsource.category
    if not category:
        return rule
    kind = c.Leaf(c.CATEGORY, "exact", category, selection="logsource")
    return msgspec.structs.replace(rule, node=c.All((kind, _renamed(rule.node, f"{category}."))))


def alternatives(rule: c.Rule) -> list[frozenset[str]]:
    """Return for each way in which a rule can match the fields that an event needs for it.

    One of the ways, at least, is met by every event that matches.
    """
    return [
        frozenset(field for field in clause.needs if field is not None)
        for clause in clauses_of(0, rule.node)
    ]


def shown(rule: c.Rule, field: str | None) -> str:
    """Return a field as the rule's author wrote it."""
    return "(keywords)" if field is None else field.removeprefix(f"{rule.logsource.category}.")


def _renamed(node: c.Node, prefix: str) -> c.Node:
    if isinstance(node, c.Not):
        return c.Not(_renamed(node.arg, prefix))
    if isinstance(node, c.All | c.Any):
        return type(node)(tuple(_renamed(arg, prefix) for arg in node.args))
    if node.field is None:
        return node
    text = prefix + node.text if node.op == "fieldref" else node.text
    if node.field.startswith(KNOWN):  # nothing of the source
        return node
    return msgspec.structs.replace(node, field=prefix + node.field, text=text)
