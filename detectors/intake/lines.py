"""Three-way merge of texts by lines, as diff3 does it.

Khanna, Kunal and Pierce 2007, "A formal investigation of diff3": the parts that both sides left
alone are found by matching each side with the base; between them one side changed (its text is
taken), both did the same (once), or they differ: a conflict.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher


def merge(base: str, mine: str, theirs: str) -> str | None:
    r"""Return what both sides made of `base`, or None where they changed the same lines.

    >>> merge("a\nb\nc\n", "A\nb\nc\n", "a\nb\nC\n")
    'A\nb\nC\n'
    >>> merge("a\n", "b\n", "c\n") is None
    True
    """
    old, ours, others = (text.splitlines(keepends=True) for text in (base, mine, theirs))
    left, right = _matches(old, ours), _matches(old, others)
    out: list[str] = []
    at = our = other = 0
    # Lines that are the same in all three, and the end, cut the texts into chunks.
    stable = [line for line in range(len(old)) if line in left and line in right]
    for line in [*stable, len(old)]:
        our_end = left.get(line, len(ours))
        other_end = right.get(line, len(others))
        chunk = _chunk(old[at:line], ours[our:our_end], others[other:other_end])
        if chunk is None:
            return None
        out += chunk + old[line : line + 1]
        at, our, other = line + 1, our_end + 1, other_end + 1
    return "".join(out)


def _chunk(old: Sequence[str], ours: Sequence[str], others: Sequence[str]) -> list[str] | None:
    if ours in (old, others):
        return list(others)
    return list(ours) if others == old else None


def _matches(old: Sequence[str], new: Sequence[str]) -> dict[int, int]:
    """Return for each line of `old` that is kept its place in `new`; both ascending."""
    blocks = SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
    return {a + n: b + n for a, b, size in blocks for n in range(size)}
