"""All tables out of one folder, and whether it has changed since.

::

    geo/*.mmdb                   databases in MaxMind's format, asked in order of their names
    feeds/*                      indicators: STIX, MISP, CSV, plain lists, gzip or not
    benign/**/list.json          MISP warning lists
    assets.csv  identities.csv   or .json: whose things are
    attack.json[.gz]             ATT&CK's STIX bundle

Whatever is not there is not looked up. Fetching is others' business: files are to be put
there whole (written beside, then renamed).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from detectors.enrich import benign, context
from detectors.enrich.attack import Attack
from detectors.enrich.benign import BenignTable
from detectors.enrich.context import Context
from detectors.enrich.enricher import Tables
from detectors.enrich.feeds import Feed
from detectors.enrich.geo import Geo
from detectors.enrich.indicators import Indicator
from detectors.enrich.table import IndicatorTable
from sentinel.errors import SettingsError

_CONTEXT: Final = ("assets.csv", "assets.json", "identities.csv", "identities.json")
_ATTACK: Final = ("attack.json", "attack.json.gz")
#: Path, size and time of change of every file.
Version = tuple[tuple[str, int, int], ...]


def version(folder: Path) -> Version:
    """Return what tells the folder's present content from an earlier one."""
    found = []
    for path in _files(folder):
        try:
            state = path.stat()
        except FileNotFoundError:
            continue
        found.append((str(path.relative_to(folder)), state.st_size, state.st_mtime_ns))
    return tuple(found)


def load(folder: Path) -> tuple[Tables, Counter[str]]:
    """Return the tables, and what was left out of feeds by ``feed: reason``.

    Raises
    ------
    SettingsError
        The folder is missing, or a database, context file or bundle is none. Feeds and lists,
        which others write, are read as far as they go.
    """
    if not folder.is_dir():
        raise SettingsError(f"expected a folder of look-ups at {folder}, found none")
    feeds = [Feed(path) for path in _below(folder / "feeds", "*")]
    lists = map(benign.load, _below(folder / "benign", "list.json"))
    entries = [
        entry
        for name in _CONTEXT
        if (folder / name).is_file()
        for entry in context.load(folder / name)
    ]
    bundle = next((folder / name for name in _ATTACK if (folder / name).is_file()), None)
    tables = Tables(
        geo=Geo(_below(folder / "geo", "*.mmdb")),
        indicators=IndicatorTable(_indicators(feeds)),
        benign=BenignTable(each for each in lists if each is not None),
        context=Context(entries),
        attack=Attack(bundle),
    )
    left = Counter(
        {f"{feed.name}: {reason}": n for feed in feeds for reason, n in feed.left_out.items()}
    )
    return tables, left


def _indicators(feeds: list[Feed]) -> Iterator[Indicator]:
    for feed in feeds:
        yield from feed


def _files(folder: Path) -> Iterator[Path]:
    yield from (folder / name for name in (*_CONTEXT, *_ATTACK))
    for name, pattern in (("geo", "*.mmdb"), ("feeds", "*"), ("benign", "list.json")):
        yield from _below(folder / name, pattern)


def _below(folder: Path, pattern: str) -> list[Path]:
    """Return the files below a folder, hidden ones left out, in order of their names."""
    return [
        path
        for path in sorted(folder.rglob(pattern))
        if path.is_file() and not path.name.startswith(".")
    ]
