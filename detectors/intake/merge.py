"""What an import does with each rule file: added, updated, merged, kept, or left as a conflict.

Three texts decide: *theirs* (what is imported), *mine* (what is here) and *base* (what was
imported the last time, kept beside). A file is found by its path, or where there is none by the
id of its rule, so a rule that was moved on either side is still the same rule.

=============  ==================================================================================
what           when, and what becomes of the file here
=============  ==================================================================================
``added``      not here, never imported: taken, on trial if so wanted
``updated``    not edited here: theirs is taken
``merged``     edited here and changed there, in different lines: both
``unchanged``  the same there as at the last import, or the same as here: left alone
``kept``       edited or deleted here, not changed there: left alone
``conflict``   edited here and changed there, in the same lines, or deleted here and changed
               there: left alone; the next import says so again
``gone``       no longer there: left alone
``refused``    no rule, or not readable: not taken
=============  ==================================================================================

A rule on trial carries ``sentinel: staging``; that line is not an edit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from detectors.intake.lines import merge

ADDED, UPDATED, MERGED, UNCHANGED = "added", "updated", "merged", "unchanged"
KEPT, CONFLICT, GONE, REFUSED = "kept", "conflict", "gone", "refused"
#: In the order in which a report has them.
WHAT: Final = (ADDED, UPDATED, MERGED, CONFLICT, KEPT, GONE, REFUSED, UNCHANGED)
#: Largest rule file, in bytes.
LARGEST: Final = 1 << 20
STAGING: Final = "sentinel: staging"
_STAGED = re.compile(r"^sentinel:[ \t]*staging[ \t]*(#.*)?\r?\n?", re.MULTILINE)
_ID = re.compile(r"^id:[ \t]*['\"]?([^'\"\s#]+)", re.MULTILINE)
_RULE = re.compile(r"^(detection|correlation|filter|action):", re.MULTILINE)
_END = re.compile(r"(?m)^(---[ \t]*(?:\r?\n|\Z))")


class Change(NamedTuple):
    """What becomes of one file.

    Attributes
    ----------
    path
        Of the file here, relative.
    what
        Among `WHAT`.
    reason
        More about it, where there is more to say.
    text
        What to write there; None: leave it.
    base
        What to keep beside as imported; None: as it was.
    """

    path: str
    what: str
    reason: str = ""
    text: str | None = None
    base: str | None = None


def is_staged(text: str) -> bool:
    """Return whether a rule file is on trial."""
    return _STAGED.search(text) is not None


def stage(text: str) -> str:
    r"""Put every rule of a file on trial.

    >>> stage("title: a\n")
    'title: a\nsentinel: staging\n'
    """
    parts = _END.split(unstage(text))  # documents, and the lines between them
    parts[::2] = [_with_line(part) if part.strip() else part for part in parts[::2]]
    return "".join(parts)


def _with_line(part: str) -> str:
    return f"{part}{'' if part.endswith(chr(10)) else chr(10)}{STAGING}\n"


def unstage(text: str) -> str:
    """Take every rule of a file off trial."""
    return _STAGED.sub("", text)


def ids(text: str) -> list[str]:
    """Return the ids that the rules of a file state."""
    return _ID.findall(text)


def plan(
    theirs: Mapping[str, bytes],
    mine: Mapping[str, str],
    base: Mapping[str, str],
    *,
    staged: bool = False,
) -> list[Change]:
    """Decide about every file; nothing is written.

    Parameters
    ----------
    theirs, mine, base
        Contents by relative path: imported, here, and imported the last time.
    staged
        Put what is added on trial.

    Returns
    -------
    list of Change
        By path.
    """
    places = {ident: path for path, text in [*base.items(), *mine.items()] for ident in ids(text)}
    changes: dict[str, Change] = {}
    for name in sorted(theirs):
        try:
            text = _read(theirs[name])
        except ValueError as error:
            changes[name] = Change(name, REFUSED, str(error))
            continue
        path = name
        if name not in mine and name not in base:
            path = next((places[ident] for ident in ids(text) if ident in places), name)
        if path in changes:
            changes[name] = Change(name, REFUSED, f"the rule of {path} once more")
            continue
        changes[path] = _decide(path, text, mine.get(path), base.get(path), staged=staged)
    for path in base.keys() - changes.keys():
        changes[path] = Change(path, GONE, "no longer in what is imported")
    return [changes[path] for path in sorted(changes)]


def _read(content: bytes) -> str:
    """Return the text of a rule file; raise ValueError, with the reason, where it is none."""
    if len(content) > LARGEST:
        raise ValueError(f"expected at most {LARGEST} bytes, found {len(content)}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"expected UTF-8, found byte {content[error.start]:#x}") from error
    if not _RULE.search(text):
        raise ValueError("no Sigma rule: expected a detection, correlation or filter")
    return text


def _decide(path: str, theirs: str, mine: str | None, base: str | None, *, staged: bool) -> Change:
    if mine is None:
        return _absent(path, theirs, base, staged=staged)
    ours = unstage(mine)
    plain = unstage(theirs)
    if base is not None and theirs == base:
        edited = not _same(ours, unstage(base))
        return Change(path, KEPT, "edited here") if edited else Change(path, UNCHANGED)
    if _same(ours, plain):
        return Change(path, UNCHANGED, base=theirs)
    if base is None:
        return Change(path, CONFLICT, "is here already and was never imported")
    old = unstage(base)
    trial = is_staged(mine)
    if _same(ours, old):
        return Change(path, UPDATED, text=stage(plain) if trial else plain, base=theirs)
    merged = merge(old, ours, plain)
    if merged is None:
        return Change(path, CONFLICT, "the same lines were edited here and changed there")
    return Change(path, MERGED, text=stage(merged) if trial else merged, base=theirs)


def _same(one: str, other: str) -> bool:
    """Compare but for the line break at the end, which a rule on trial always has."""
    return one.rstrip("\r\n") == other.rstrip("\r\n")


def _absent(path: str, theirs: str, base: str | None, *, staged: bool) -> Change:
    if base is None:
        return Change(path, ADDED, text=stage(theirs) if staged else theirs, base=theirs)
    if base == theirs:
        return Change(path, KEPT, "deleted here")
    return Change(path, CONFLICT, "deleted here and changed there")
