"""Nodes to a query of Elasticsearch, over the documents that its sink writes."""

from __future__ import annotations

import re
from typing import Any, TypeAlias
from uuid import UUID

from api.search.language.fields import Kind
from api.search.language.nodes import (
    And,
    Below,
    Equal,
    Gap,
    Like,
    Node,
    Not,
    Or,
    Pattern,
    Present,
    Range,
    Test,
    Within,
    WordLike,
    Words,
)

Clause: TypeAlias = dict[str, Any]


def query(node: Node) -> Clause:
    """Return the query of a node; it filters, and scores nothing."""
    match node:
        case And(parts):
            return {"bool": {"filter": [query(part) for part in parts]}}
        case Or(parts):
            return _any(*map(query, parts)) if parts else {"match_none": {}}
        case Not(part):
            return {"bool": {"must_not": [query(part)]}}
        case _:
            return _test(node)


def _test(node: Test) -> Clause:
    name = node.field.document
    match node:
        case Equal(_, value):
            return {"term": {name: str(value) if isinstance(value, UUID) else value}}
        case Like(field, (str(start), Gap.MANY)) if field.kind is Kind.RAW:
            return {"prefix": {name: start}}
        case Like(_, pattern) | WordLike(_, pattern):
            return {"wildcard": {name: {"value": _wildcard(pattern)}}}
        case Below(_, technique):
            return _any({"term": {name: technique}}, {"prefix": {name: f"{technique}."}})
        case Within(_, network):
            return {"term": {f"{name}_address": str(network)}}
        case Words(_, words):
            return {"match_phrase": {name: " ".join(words)}} if words[1:] else _term(name, *words)
        case Range():
            return _range(node)
        case Present():
            return _present(node)


def _any(*clauses: Clause) -> Clause:
    return {"bool": {"should": list(clauses), "minimum_should_match": 1}}


def _term(name: str, value: str) -> Clause:
    return {"term": {name: value}}


def _present(node: Present) -> Clause:
    exists = {"exists": {"field": node.field.document}}
    if node.field.kind not in {Kind.KEYWORD, Kind.ADDRESS}:
        return exists
    return {"bool": {"filter": [exists], "must_not": [_term(node.field.document, "")]}}


def _range(node: Range) -> Clause:
    bounds: dict[str, Any] = {}
    if node.low is not None:
        bounds["gte" if node.with_low else "gt"] = node.low
    if node.high is not None:
        bounds["lte" if node.with_high else "lt"] = node.high
    return {"range": {node.field.document: bounds}} if bounds else {"match_all": {}}


def _wildcard(pattern: Pattern) -> str:
    return "".join(
        part.value if isinstance(part, Gap) else re.sub(r"([\\*?])", r"\\\1", part)
        for part in pattern
    )
