"""From text to nodes, with errors that say in which column what was expected.

The grammar (``grammar.lark``) is lark's; LALR(1) with a contextual lexer, so a value may look
like a keyword. What people send is bounded: `LONGEST` characters, `MOST` tests, `DEEPEST`
levels.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from api.search.language.fields import RAW, Field, Subject
from api.search.language.nodes import EVERYTHING, And, Node, Not, Or
from api.search.language.terms import Terms, Wrong

LONGEST = 2000
MOST = 100
DEEPEST = 20
#: A part of the language in words, for messages; those left out are never worth naming.
_EXPECTED = {
    "VALUE": "a value",
    "WORD": "a word",
    "FIELD": "field:value",
    "_RPAR": "`)`",
    "_TO": "TO",
    "CLOSE": "`]` or `}`",
    "$END": "the end",
}
Branch: TypeAlias = Tree[Token]


class QueryError(Exception):
    """A query that cannot be understood.

    Attributes
    ----------
    column
        Where, from 1.
    message
        What was expected there, what was found, what to do.
    """

    def __init__(self, column: int, message: str) -> None:
        super().__init__(f"column {column}: {message}")
        self.column = column
        self.message = message


@cache
def _parser() -> Lark:
    grammar = Path(__file__).with_name("grammar.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", maybe_placeholders=False)


def parse(text: str, subject: Subject, now: datetime | None = None) -> Node:
    """Return what `text` means for `subject`; nothing at all means everything.

    Parameters
    ----------
    now
        What ``now`` stands for; default: the time of the call.

    Raises
    ------
    QueryError
        It is too long, is not of the grammar, or a field does not have such values.
    """
    if len(text) > LONGEST:
        raise QueryError(LONGEST, f"expected at most {LONGEST} characters, found {len(text)}")
    if "\x00" in text:
        raise QueryError(text.index("\x00") + 1, "expected text, found the character NUL")
    try:
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        raise _explained(error, text) from None
    builder = _Builder(Terms(subject, now or datetime.now(UTC)), subject)
    return builder.node(tree.children[0], 0) if tree.children else EVERYTHING


class _Builder:
    """Turns a tree into nodes, checking names and values."""

    def __init__(self, terms: Terms, subject: Subject) -> None:
        self._terms = terms
        self._subject = subject
        self._count = 0

    def node(self, tree: Any, depth: int) -> Node:
        """Return the node of a part outside of ``field:( … )``."""
        match tree.data:
            case "clause":
                name, value = tree.children
                return self._value(self._field(name), value, depth)
            case "text":
                (token,) = tree.children
                return self._test(token, self._terms.text)
            case _:
                return self._joined(tree, depth, self.node)

    def _value(self, field: Field, tree: Any, depth: int) -> Node:
        match tree.data:
            case "scalar" | "v_scalar":
                (token,) = tree.children
                return self._test(token, lambda each: self._terms.equal(field, each))
            case "compared":
                sign, scalar = tree.children
                (token,) = scalar.children
                return self._test(token, lambda each: self._terms.compared(field, sign, each))
            case "range" | "v_range":
                opening, low, high, closing = tree.children
                bounds = (low.children[0], high.children[0])
                return self._test(
                    bounds[0],
                    lambda _: self._terms.range(field, *bounds, opening == "[", closing == "]"),
                )
            case _:
                return self._joined(tree, depth, lambda part, at: self._value(field, part, at))

    def _joined(self, tree: Branch, depth: int, inner: Callable[[Any, int], Node]) -> Node:
        if depth >= DEEPEST:
            raise QueryError(_column(tree), f"expected at most {DEEPEST} levels, found more")
        parts = tuple(inner(part, depth + 1) for part in tree.children)
        kind = tree.data.removeprefix("v_").strip("_")
        if kind == "not":
            return Not(parts[0])
        return And(parts) if kind == "and" else Or(parts)

    def _test(self, token: Token, make: Callable[[Token], Node]) -> Node:
        self._count += 1
        if self._count > MOST:
            raise QueryError(_at(token), f"expected at most {MOST} terms, found more")
        try:
            return make(token)
        except Wrong as error:
            raise QueryError(_at(error.token), str(error)) from None

    def _field(self, name: Token) -> Field:
        field = self._subject.field(name)
        if field is not None:
            return field
        known = sorted(self._subject.fields)
        near = get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        if self._subject.open and not near:
            hint += f", and {RAW}… for what the source wrote"
        raise QueryError(
            _at(name),
            f"expected a field, found {str(name)!r}; {hint}; quote text that holds a colon",
        )


def _at(token: Token) -> int:
    return (token.start_pos or 0) + 1


def _column(tree: Branch) -> int:
    return _at(next(tree.scan_values(lambda value: isinstance(value, Token))))


def _explained(error: UnexpectedInput, text: str) -> QueryError:
    """Return the error for people: what may stand there, and what does."""
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        place, found = len(text), "the end"
    else:
        place = error.pos_in_stream or 0
        found = repr(text[place : place + 12]) if place < len(text) else "the end"
    if text[place : place + 1] == '"':
        return QueryError(place + 1, 'expected a closing `"`, found the end')
    names: set[str] = set()
    if isinstance(error, UnexpectedToken):
        names = set(error.accepts or error.expected or ())
    elif isinstance(error, UnexpectedCharacters):
        names = set(error.allowed or ())
    wanted = [words for name, words in _EXPECTED.items() if name in names]
    expected = " or ".join(wanted) or "a term"
    return QueryError(place + 1, f"expected {expected}, found {found}")
