r"""The words that a full-text search finds, the same in every store.

A word is a run of ASCII letters, digits and any characters beyond ASCII but `SPACES`;
everything else parts words. Upper and lower case of ASCII letters are the same; keys of
objects, numbers and words of more than `LONGEST` bytes are not found. Words follow one
another within a line of a text. ``search_text`` in the migration ``0016`` says the same to
PostgreSQL; the contract test of the stores holds them together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson

#: Bytes in UTF-8 of the longest word: Lucene's whitespace analyzer cuts longer ones.
LONGEST = 255
#: What Java calls white space beyond ASCII, and so Lucene.
SPACES = (
    "\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2008\u2009\u200a\u2028\u2029\u205f\u3000"
)
_SPACES = dict.fromkeys(map(ord, SPACES), " ")
_WORD = re.compile(rb"[0-9a-z\x80-\xff]+")
_APART = re.compile(rb"[^0-9a-z\x80-\xff\n]+")
_TOO_LONG = re.compile(rb"[^ \n]{%d,}" % (LONGEST + 1))
#: Stands for a word that is too long, so that its neighbours stay apart; no word itself.
_HOLE = b"-"
#: Whole numbers beyond are not the same in every store.
_MOST = 10**18


def running_words(text: str) -> list[str]:
    """Return the words of a text in order, however long they are.

    >>> running_words("It's 192.0.2.1, Ada")
    ['it', 's', '192', '0', '2', '1', 'ada']
    """
    return [word.decode() for word in _WORD.findall(_bytes(text))]


def word_lines(value: Any) -> list[str]:
    """Return the lines of all texts within `value` (decoded JSON), each its words and spaces.

    >>> word_lines({"user": ["arn:aws:iam::1:user/Ada", {"n": 7}], "o": "Ada, Eve"})
    ['arn aws iam 1 user ada', 'ada eve']
    """
    text = _APART.sub(b" ", _bytes("\n".join(_texts(value))))
    lines = _TOO_LONG.sub(_HOLE, text).decode().split("\n")
    return [stripped for line in lines if (stripped := line.strip(" "))]


def _bytes(text: str) -> bytes:
    if not text.isascii():
        text = text.translate(_SPACES)
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").lower()


def written(raw: bytes) -> Any:
    """Return what an event is to the search: decoded JSON, or its text where it is none."""
    try:
        return orjson.loads(raw.replace(b"\\u0000", b" "))
    except orjson.JSONDecodeError:
        return raw.decode("utf-8", "replace")


def leaves(value: Any, *, most: int = 500, deepest: int = 16, longest: int = 512) -> dict[str, Any]:
    """Return texts, whole numbers and truth values within `value` by their path, bounded.

    A list is what stands in it. What is left out, is not found by its path: keys that are
    empty or hold a dot, numbers with fractions, lists within lists, and what goes beyond
    `most` leaves, `deepest` levels or `longest` characters.

    >>> leaves({"a": {"b": ["x", 1, {"c": True}], "d": 0.5, "e.f": 1}})
    {'a.b': ['x', '1'], 'a.b.c': ['true']}
    """
    found: dict[str, list[str]] = {}
    count = 0
    for path, leaf in _leaves(value, deepest):
        text = _leaf(leaf)
        if text is not None and len(text) <= longest:
            found.setdefault(path, []).append(text)
            count += 1
            if count == most:
                break
    return found


def _leaf(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if abs(value) < _MOST else None
    return value if isinstance(value, str) else None


def _leaves(value: Any, deepest: int) -> Iterator[tuple[str, Any]]:
    left: list[tuple[str, Any, int]] = [("", value, 0)] if isinstance(value, dict) else []
    while left:
        path, each, depth = left.pop()
        if isinstance(each, dict):
            if depth < deepest:
                inner = [
                    (f"{path}.{key}" if path else key, item, depth + 1)
                    for key, item in each.items()
                    if key and "." not in key
                ]
                left.extend(reversed(inner))
        elif isinstance(each, list):
            left.extend((path, item, depth) for item in reversed(each) if type(item) is not list)
        else:
            yield path, each


def _texts(value: Any) -> Iterator[str]:
    """Yield every string within `value`, in order, however deep it is nested."""
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict):
            left.extend(reversed(each.values()))
        elif isinstance(each, list | tuple):
            left.extend(reversed(each))
