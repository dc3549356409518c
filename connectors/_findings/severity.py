"""Severity and weaknesses as OCSF numbers and objects, from the words of all scanners."""

from __future__ import annotations

import re
from typing import Any, Final

_LOW: Final = {
    **dict.fromkeys(("critical", "crit", "blocker", "very high"), 5),
    **dict.fromkeys(("high", "error", "important", "major"), 4),
    **dict.fromkeys(("medium", "moderate", "warning", "warn"), 3),
    **dict.fromkeys(("low", "minor", "negligible"), 2),
    **dict.fromkeys(("info", "informational", "information", "note", "none", "trace"), 1),
}
#: Words of the scanners, as they spell them, and OCSF's ``severity_id``.
WORDS: Final = {
    spelled: number
    for word, number in _LOW.items()
    for spelled in (word, word.upper(), word.capitalize())
}
_NUMBER: Final = re.compile(r"\d+")


def of_word(word: Any, otherwise: int = 0) -> int:
    """Return the severity that a word says; `otherwise` where it says none.

    >>> of_word("HIGH"), of_word("UNKNOWN"), of_word(None, 3)
    (4, 0, 3)
    """
    if not isinstance(word, str):
        return otherwise
    found = WORDS.get(word)
    return _LOW.get(word.strip().lower(), otherwise) if found is None else found


def of_score(score: Any) -> int:
    """Return the severity of a CVSS score or a ``security-severity``; 0 where it is none.

    Bands: CVSS v3.1 specification, section 5 (qualitative severity rating scale).

    >>> [of_score(score) for score in (9.8, "7.0", 4, 0.1, 0, "x")]
    [5, 4, 3, 2, 1, 0]
    """
    try:
        number = float(score)
    except (TypeError, ValueError):
        return 0
    if not 0 <= number <= 10:
        return 0
    return next(
        found for least, found in ((9, 5), (7, 4), (4, 3), (0.1, 2), (0, 1)) if number >= least
    )


def cwes(values: Any) -> list[dict[str, Any]]:
    """Return OCSF ``cwe`` objects of ``CWE-79``, ``79`` or a list of them, each once.

    >>> cwes(["CWE-79", 79, "cwe-089: Injection", True])
    [{'uid': 'CWE-79'}, {'uid': 'CWE-89'}]
    """
    listed = values if isinstance(values, list) else [values]
    found: dict[str, None] = {}
    for item in listed:
        if isinstance(item, str | int) and not isinstance(item, bool):
            number = _NUMBER.search(str(item)[:64])
            if number and int(number[0]):
                found[f"CWE-{int(number[0])}"] = None
    return [{"uid": name} for name in list(found)[:16]]
