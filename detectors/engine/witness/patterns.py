"""What the regular expressions of one field leave possible: all of them in one pass.

Regular expressions without a literal that tells much are searched for together, by
RE2's set of patterns: a value costs about what one pattern costs by itself, most of which is
the call. A set is an automaton alone, in time linear in the value like any of RE2; what of it
was needed is kept within `_MEMORY`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from itertools import chain
from operator import or_
from typing import Any, Final

import re2

from detectors.engine.leaves import compile_regex, regex_options
from detectors.engine.values import elements, text_of

#: Bytes that a set may take, and instructions of all its patterns: where an automaton has very
#: many states, which takes long patterns, those of all others are made again with each.
_MEMORY: Final = 1 << 20
_SIZE: Final = 400
#: Matches whatever the text is: a set that does not say so has failed.
_ALWAYS: Final = "^"


class Patterns:
    """What the values of one field leave possible, for its patterns; like `index.Column`.

    Parameters
    ----------
    entries
        Patterns, each with the number of a clause that needs one of them. What is too big to be
        run with others rules nothing out.
    everything
        A bit for each clause.

    Attributes
    ----------
    asked
        Clauses that may be ruled out.
    absent
        Clauses possible without a value.
    """

    def __init__(self, entries: Iterable[tuple[str, int]], everything: int) -> None:
        bits: dict[str, int] = defaultdict(int)
        for pattern, number in entries:
            bits[pattern] |= 1 << number
        sets = [each for each in map(_Set, _parts(bits)) if each]
        self._sets = [(each, [bits.pop(pattern) for pattern in each.patterns]) for each in sets]
        asked = reduce(or_, chain(*(found for _, found in self._sets)), 0)
        self.asked = asked & ~reduce(or_, bits.values(), 0)
        self.absent = everything & ~self.asked

    def possible(self, value: Any) -> int:
        """Return the clauses that a value leaves possible."""
        if value.__class__ is str:
            return self._of_text(value)
        found = self.absent
        for item in elements(value):
            found |= self._of_text(text_of(item))
        return found

    def possible_each(self, values: Sequence[str]) -> list[int]:
        """Return what each of many texts leaves possible; raise TypeError for other values."""
        return list(map(self._of_text, values))

    def _of_text(self, text: str) -> int:
        found, encoded = self.absent, str.encode(text)
        for each, bits in self._sets:
            for number in each.found(encoded):
                found |= bits[number]
        return found


class _Set:
    """Some patterns; false where they cannot be run together."""

    def __init__(self, patterns: Sequence[str]) -> None:
        options = regex_options()
        options.max_mem = _MEMORY
        built = re2.Set.SearchSet(options)
        self.patterns = patterns
        self._all = range(len(patterns))
        self._match: Any = None
        try:
            for pattern in (*patterns, _ALWAYS):
                built.Add(pattern)
            built.Compile()
        except re2.error:
            return
        self._match = built.Match

    def __bool__(self) -> bool:
        return self._match is not None

    def found(self, text: bytes) -> Iterable[int]:
        """Return the places of the patterns found in a text."""
        found: list[int] = self._match(text) or []
        try:
            found.remove(len(self._all))
        except ValueError:
            return self._all
        return found


def _parts(patterns: Iterable[str]) -> Iterator[list[str]]:
    """Yield the patterns of each set."""
    part: list[str] = []
    left = _SIZE
    for pattern in patterns:
        size = compile_regex(pattern).programsize
        if size > _SIZE:
            continue
        if size > left:
            yield part
            part, left = [], _SIZE
        part.append(pattern)
        left -= size
    if part:
        yield part
