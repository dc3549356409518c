"""A literal that every match of a regular expression contains, read off its text.

Deliberately humble: what it does not understand ends the literal or gives none at
all, so that the answer is always sound. It serves the index; RE2 decides the match.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"""
    \\(?P<escape>.)
  | (?P<class>\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\])
  | (?P<open>\()
  | (?P<close>\))
  | (?P<either>\|)
  | (?P<quantifier>(?:[*+?]|\{\d*,?\d*\})\??)
  | (?P<anything>[.^$])
  | (?P<literal>.)
    """,
    re.VERBOSE | re.DOTALL,
)

#: Escapes that stand for one character of a kind, or for a place between characters.
_KINDS = frozenset("wWdDsSbBAzntrfva")


def required_literal(pattern: str) -> str:
    """Return the longest ASCII text that any match of `pattern` contains, or "".

    >>> required_literal("^Invoke-[A-Z]+Shell.exe$"), required_literal("a|bc")
    ('Invoke-', '')
    """
    found = max(_runs(pattern), key=len, default="")
    return found if found.isascii() else ""  # for other letters RE2 may fold differently


def _runs(pattern: str) -> list[str]:
    """Return the literals outside groups and classes; none where `pattern` is not understood."""
    runs, run, depth = [], "", 0
    for token in _TOKEN.finditer(pattern):
        kind, text = token.lastgroup, token[0]
        depth += (kind == "open") - (kind == "close")
        if kind == "escape":
            kind, text = _escape(token["escape"])
        if kind == "unknown" or (kind == "either" and depth == 0):
            return []
        if kind == "literal" and depth == 0:
            run += text
            continue
        if kind == "quantifier" and text[0] != "+":
            run = run[:-1]  # what it repeats may be absent
        runs.append(run)
        run = ""
    return [*runs, run]


def _escape(char: str) -> tuple[str, str]:
    if char in _KINDS:
        return "anything", ""
    return ("unknown", "") if char.isalnum() else ("literal", char)
