"""One term of a query: what ``field:value`` means, which depends on the kind of the field."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from lark import Token

from api.search.language import values
from api.search.language.fields import ORDERED, SEVERITY_IDS, Field, Kind, Subject
from api.search.language.nodes import (
    Below,
    Equal,
    Gap,
    Like,
    Node,
    Not,
    Pattern,
    Present,
    Range,
    Within,
    WordLike,
    Words,
)
from sentinel.words import LONGEST, running_words

_TECHNIQUE = re.compile(r"[A-Za-z]{1,4}[0-9]{1,6}(\.[0-9]{1,6})?\Z")
_NUMBERS: dict[Kind, Callable[[str], int | float]] = {
    Kind.INTEGER: values.integer,
    Kind.REAL: values.real,
}
_LIKE_KINDS = frozenset({Kind.KEYWORD, Kind.TAGS, Kind.TECHNIQUE, Kind.ADDRESS, Kind.ID, Kind.RAW})


class Wrong(Exception):  # noqa: N818 # always becomes a QueryError
    """A value that its field cannot have, and where it stands."""

    def __init__(self, token: Token, message: str) -> None:
        super().__init__(message)
        self.token = token


class Terms:
    """Makes the node of each term of one query.

    Parameters
    ----------
    subject
        What is searched.
    now
        What ``now`` stands for.
    """

    def __init__(self, subject: Subject, now: datetime) -> None:
        self._subject = subject
        self._now = now

    def text(self, token: Token) -> Node:
        """Return the node of words that belong to no field."""
        return _words(self._subject.text, token)

    def equal(self, field: Field, token: Token) -> Node:
        """Return the node of ``field:value``."""
        if token == "*":  # noqa: S105 # no password
            return Present(field)
        if field.kind is Kind.WORDS:
            return _words(field, token)
        if token.type == "VALUE" and (found := values.pattern(token)):
            if field.kind not in _LIKE_KINDS:
                raise _wrong(field, token, "without * and ?")
            if field.kind is Kind.RAW and found[1:] != (Gap.MANY,):
                raise _wrong(field, token, "with at most one *, at its end")
            return Like(field, _spelt(field, found))
        return self._exactly(field, token)

    def compared(self, field: Field, sign: str, token: Token) -> Node:
        """Return the node of ``field>=value`` and its like."""
        if sign == "=":
            return self.equal(field, token)
        if sign == "!=":
            return Not(self.equal(field, token))
        if field.kind not in ORDERED:
            raise Wrong(token, f"expected {field.name}:value, found a comparison: it has no order")
        low, high = self._span(field, token)
        match sign:
            case ">":
                return Range(field, high, None, with_low=field.kind is Kind.TIME)
            case ">=":
                return Range(field, low, None)
            case "<":
                return Range(field, None, low, with_high=False)
            case _:
                return Range(field, None, high, with_high=field.kind is not Kind.TIME)

    def range(self, field: Field, low: Token, high: Token, with_low: bool, with_high: bool) -> Node:
        """Return the node of ``field:[low TO high]``."""
        if field.kind not in ORDERED:
            raise Wrong(low, f"expected {field.name}:value, found a range: it has no order")
        first = None if low == "*" else self._span(field, low)
        last = None if high == "*" else self._span(field, high)
        if field.kind is Kind.TIME:  # whole grains, from the first instant until before the last
            start = first and first[0 if with_low else 1]
            end = last and last[1 if with_high else 0]
            return Range(field, start, end, with_high=False)
        return Range(field, first and first[0], last and last[0], with_low, with_high)

    def _exactly(self, field: Field, token: Token) -> Node:
        text = _said(token)
        match field.kind:
            case Kind.TIME:
                start, end = self._span(field, token)
                return Range(field, start, end, with_high=False)
            case Kind.SEVERITY | Kind.INTEGER | Kind.REAL:
                return Equal(field, self._span(field, token)[0])
            case Kind.ID:
                try:
                    return Equal(field, UUID(text))
                except ValueError:
                    raise _wrong(field, token, "a UUID, or its beginning with *") from None
            case Kind.ADDRESS if "/" in text:
                try:
                    return Within(field, values.network(text))
                except ValueError:
                    raise _wrong(field, token, "such as 192.0.2.1 or 192.0.2.0/24") from None
            case Kind.CHOICE:
                if text.lower() not in field.choices:
                    raise _wrong(field, token, f"of {', '.join(field.choices)}")
                return Equal(field, text.lower())
            case Kind.TECHNIQUE if _TECHNIQUE.match(text):
                return Below(field, text.upper())
            case _:
                return Equal(field, text)

    def _span(self, field: Field, token: Token) -> tuple[int | float, int | float]:
        """Return the first value that is meant and the last; of a time, the first after it."""
        text = _said(token)
        try:
            match field.kind:
                case Kind.TIME:
                    return values.time(text, self._now)
                case Kind.SEVERITY:
                    number = SEVERITY_IDS[text.lower()]
                case _:
                    number = _NUMBERS[field.kind](text)  # type: ignore[assignment]
        except (ValueError, KeyError):
            raise _wrong(field, token, _EXAMPLES[field.kind]) from None
        return number, number


_EXAMPLES = {
    Kind.TIME: "such as 2026-01-31, 2026-01-31T12:00:00Z or now-24h, in the years 1970 to 9998",
    Kind.SEVERITY: f"of {', '.join(SEVERITY_IDS)}",
    Kind.INTEGER: f"from -{values.MAX_INT} to {values.MAX_INT}",
    Kind.REAL: "such as 0.8",
}


def _said(token: Token) -> str:
    return values.quoted(token) if token.type == "STRING" else values.literal(token)


def _wrong(field: Field, token: Token, how: str) -> Wrong:
    found = str(token) if len(token) <= 60 else f"{token[:60]}…"
    return Wrong(token, f"{field.name}: expected {field.kind.value} {how}, found {found}")


def _spelt(field: Field, pattern: Pattern) -> Pattern:
    """Return a pattern as values are written: techniques in capitals, ids in small letters."""
    change = {Kind.TECHNIQUE: str.upper, Kind.ID: str.lower}.get(field.kind)
    if change is None:
        return pattern
    return tuple(part if isinstance(part, Gap) else change(part) for part in pattern)


def _words(field: Field, token: Token) -> Node:
    """Return the words of a term, or the one word that fits its pattern."""
    gaps = None if token.type == "STRING" else values.pattern(token)
    if gaps is None:
        words = tuple(running_words(_said(token)))
        if not words or any(len(word.encode()) > LONGEST for word in words):
            raise Wrong(
                token,
                f"expected a word of letters or digits, at most {LONGEST} bytes long, "
                f"found {str(token)[:60]}",
            )
        return Words(field, words)
    literals = [part for part in gaps if isinstance(part, str)]
    if not literals or any(running_words(part) != [_lower(part)] for part in literals):
        raise Wrong(
            token,
            f"expected letters or digits around * and ?, found {str(token)[:60]}; "
            "quote text without gaps",
        )
    return WordLike(field, tuple(part if isinstance(part, Gap) else _lower(part) for part in gaps))


def _lower(text: str) -> str:
    """Return text as words are kept: the case of ASCII letters is nothing."""
    return text.encode("utf-8", "replace").lower().decode()
