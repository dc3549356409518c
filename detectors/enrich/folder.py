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

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from detectors.enrich import benign, context
from detectors.enrich.attack import Attack
from detectors.enrich.benign import BenignTable
from detectors.enrich.context import Context
from detectors.enrich.enricher import Enricher, Tables
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


class Watch:
    """Keeps an `Enricher` up to date with a folder, from a thread of its own.

    Looking up never waits for it. A folder that cannot be loaded (a database that is none)
    leaves the tables as they are, with the reason in `problem`.

    Parameters
    ----------
    folder
        See the module.
    every_s
        Seconds between two looks.

    Raises
    ------
    SettingsError
        The folder cannot be loaded to begin with.
    """

    def __init__(self, folder: Path, every_s: float = 60.0) -> None:
        self._folder, self._every_s = folder, every_s
        self._version = version(folder)
        self.enricher = Enricher(load(folder)[0])
        self.problem = ""
        #: How often the tables were replaced.
        self.swaps = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="look-ups", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self.look()

    def look(self) -> bool:
        """Load the folder anew if it has changed; say whether it was."""
        try:
            found = version(self._folder)
            if found == self._version:
                return False
            tables, _ = load(self._folder)
        except (SettingsError, OSError) as error:
            self.problem = str(error)
            return False
        self.enricher.swap(tables)
        self._version, self.problem = found, ""
        self.swaps += 1
        return True

    def close(self) -> None:
        """Stop looking."""
        self._stop.set()
        self._thread.join()


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
