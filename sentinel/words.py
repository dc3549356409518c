r"""The words that a full-text search finds, the same in every store.

A word is a run of ASCII letters, digits and any characters beyond ASCII; everything else
parts words. Upper and lower case of ASCII letters are the same; keys of objects, numbers
and words of more than `LONGEST` bytes are not found. ``words`` in ``api/queries.sql`` says
the same to PostgreSQL; the contract test of the stores holds them together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson

#: Bytes in UTF-8 of the longest word; what is longer is a cipher, and no query is.
LONGEST = 1024
_WORD = re.compile(rb"[0-9a-z\x80-\xff]+")


def words(value: Any) -> list[str]:
    """Return the words of all texts within `value` (decoded JSON), each once.

    >>> sorted(words({"user": ["arn:aws:iam::1:user/Ada", {"n": 7}], "o": "Ada"}))
    ['1', 'ada', 'arn', 'aws', 'iam', 'user']
    """
    text = "\n".join(_texts(value)).replace("\x00", "\ufffd")
    found = _WORD.findall(text.encode("utf-8", "replace").lower())
    return [word.decode() for word in dict.fromkeys(found) if len(word) <= LONGEST]


def written(raw: bytes) -> Any:
    """Return what an event is to the search: decoded JSON, or its text where it is none."""
    try:
        return orjson.loads(raw.replace(b"\\u0000", b" "))
    except orjson.JSONDecodeError:
        return raw.decode("utf-8", "replace")


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
