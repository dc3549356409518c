"""The rules of a running worker: loaded, and loaded again when their files change.

A worker looks every `POLL_S` seconds, and at once for SIGHUP, at names, sizes and times of the
files. What changed is taken once it has stayed the same for a whole look, so that a copy under
way is not read half done; it is parsed and compiled on a thread and swapped in between two
batches. Events under way are matched by the one set or the other, never by parts of both; windows
of correlations that did not change go on. A rule that cannot run is left out, as at the start; a
set that cannot be loaded at all leaves the one before in force.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from weakref import WeakSet

import detectors.rules
from detectors.sigma import RuleSet
from sentinel import log, metrics
from sentinel.errors import RuleError
from sentinel.settings import Settings

LOG = log.get(__name__)
POLL_S = 3.0
SUFFIXES = (".yml", ".yaml")
#: Path, size and time of change of every file.
Version = frozenset[tuple[str, int, int]]
#: Compiles a set, off the loop; returns what puts it in force, on the loop.
Prepare = Callable[[RuleSet], Callable[[], None]]


def own_rules() -> Path:
    """Return the directory of the rules that come with Sentinel."""
    return Path(detectors.rules.__path__[0])


def load_rules(settings: Settings) -> RuleSet:
    """Load our own rules, those of ``SENTINEL_RULES`` and those imported; name what cannot run."""
    rules = RuleSet.load([own_rules(), *settings.rule_dirs], cache=settings.home / "cache")
    if rules.unsupported:
        LOG.warning(
            "some rules cannot be supported, `sentinel rules check` lists them with reasons",
            action="rules_unsupported",
            count=len(rules.unsupported),
        )
    return rules


def version(dirs: Iterable[Path]) -> Version:
    """Return what tells the rule files below `dirs` from what they were; missing ones are none."""
    return frozenset(entry for root in dirs for entry in _entries(str(root)))


def _entries(folder: str) -> Iterator[tuple[str, int, int]]:
    try:
        with os.scandir(folder) as found:
            for each in found:
                if each.is_dir():
                    yield from _entries(each.path)
                elif each.name.endswith(SUFFIXES):
                    state = each.stat()
                    yield each.path, state.st_size, state.st_mtime_ns
    except OSError:
        return  # gone while we looked: the next look sees what there is


class RuleWatch:
    """Keeps what was made of the rules up to date with their files.

    Parameters
    ----------
    settings
        Where the rules are.
    prepare
        Called on a thread with each new set; what it returns is called on the loop.
    poll_s
        Seconds between two looks.
    """

    def __init__(self, settings: Settings, prepare: Prepare, poll_s: float = POLL_S) -> None:
        self._settings, self._prepare, self._poll_s = settings, prepare, poll_s
        self._used = self._last = self._version()
        self._wake = asyncio.Event()
        _WATCHES.add(self)
        #: How often the rules were replaced.
        self.swaps = 0

    def _version(self) -> Version:
        return version([own_rules(), *self._settings.rule_dirs])

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(signal.SIGHUP, _wake_all)  # of the main thread only
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._poll_s)
            await self.look(now=self._wake.is_set())
            self._wake.clear()

    async def look(self, *, now: bool = False) -> bool:
        """Take the rules anew if their files changed, and have ceased to; say whether it did.

        Parameters
        ----------
        now
            Take them whatever was seen before, as SIGHUP asks for.
        """
        found = await asyncio.to_thread(self._version)
        steady, self._last = found == self._last, found
        if not now and (found == self._used or not steady):
            return False
        self._used = found  # whatever comes of it: the same files would fail again
        started = time.perf_counter()
        try:
            rules, put = await asyncio.to_thread(self._load)
        except (RuleError, OSError) as error:
            metrics.ERRORS.labels("normalize", "", "rules").inc()
            LOG.warning("the rules stay as they were", action="rules_kept", error=str(error))
            return False
        put()
        self.swaps += 1
        seconds = round(time.perf_counter() - started, 2)
        LOG.info("rules replaced", action="rules", count=len(rules.rules), seconds=seconds)
        return True

    def _load(self) -> tuple[RuleSet, Callable[[], None]]:
        rules = load_rules(self._settings)
        return rules, self._prepare(rules)

    def wake(self) -> None:
        """Look now, and take what there is."""
        self._wake.set()


#: One a stage: SIGHUP is for all of them.
_WATCHES: WeakSet[RuleWatch] = WeakSet()


def _wake_all() -> None:
    for each in list(_WATCHES):
        each.wake()
