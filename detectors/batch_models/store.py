"""Versions of trained models in a folder, with which one is live and which was before.

::

    <folder>/<tenant>/<source>/<kind>/0001/model.pkl  about.json
    <folder>/<tenant>/<source>/<kind>/history.json    what was promoted and rolled back, and when

A step of the history counts for events that arrive from `SETTLE_MS` after it was written, when
every worker has read it: so all of them, and a replay, score an event with the same version.

A version is written whole beside its place, then renamed. Pickles run code when they are read:
the folder is the user's own, made so that no one else may write to it.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from detectors.batch_models.kinds import Trained
from detectors.batch_models.train import Version
from sentinel.errors import SettingsError

#: Workers look at the folder every two seconds.
SETTLE_MS: Final = 6000
HISTORY: Final = "history.json"
MODEL: Final = "model.pkl"
_SAFE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Change(NamedTuple):
    """Another version of a kind scores live from now on.

    Attributes
    ----------
    action
        ``promote`` or ``rollback``.
    kind, version
        What is live then.
    before
        The version that was; None: there was none.
    sha256
        Of the version's file, in hexadecimal: which model it is, whatever its number.
    """

    action: str
    kind: str
    version: int
    before: int | None
    sha256: str


#: Told of a change before it is made; what it raises prevents it.
Tell = Callable[[Change], None]


def untold(_: Change) -> None:
    """Tell no one: for tests and rehearsals."""


class Store:
    """The versions of one tenant's source.

    Raises
    ------
    SettingsError
        A name could not be a folder's.
    """

    def __init__(self, folder: Path, tenant: str, source: str) -> None:
        for name in (tenant, source):
            if not _SAFE.fullmatch(name):
                raise SettingsError(
                    f"expected letters, digits, '.', '_' or '-' in the name {name!r}"
                )
        self._folder = folder / tenant / source

    def add(self, version: Version) -> int:
        """Keep a version; return its number."""
        kind = version.about["kind"]
        home = self._folder / kind
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        number = max((row["version"] for row in self.versions(kind)), default=0) + 1
        with tempfile.TemporaryDirectory(dir=home, prefix=".new-") as made:
            about = version.about | {"version": number}
            (Path(made) / MODEL).write_bytes(pickle.dumps(version.model))
            (Path(made) / "about.json").write_text(json.dumps(about))
            shutil.copytree(made, home / f"{number:04d}")
        return number

    def versions(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return what is known of every version, oldest first; ``live`` says which are used."""
        rows = []
        for path in sorted(self._folder.glob(f"{kind or '*'}/*/about.json")):
            about = json.loads(path.read_bytes())
            history = self._history(about["kind"])
            rows.append(about | {"live": _live(history) == about["version"]})
        return rows

    def kinds(self) -> list[str]:
        """Return the kinds of which a version was ever promoted."""
        return sorted(path.parent.name for path in self._folder.glob(f"*/{HISTORY}"))

    def live(self, kind: str) -> Trained | None:
        """Return the live model of a kind, if any."""
        version = _live(self._history(kind))
        return None if version is None else self.load(kind, version)

    def load(self, kind: str, version: int) -> Trained | None:
        """Return a version; None where it is not there or is none."""
        path = self._file(kind, version)
        if not path.is_file():
            return None
        found = pickle.loads(path.read_bytes())  # noqa: S301 - see the module
        return found if isinstance(found, Trained) else None

    def spans(self, kind: str) -> list[tuple[int, int]]:
        """Return from which arrival on, in ms since the epoch, which version is live."""
        history = self._history(kind)
        return [
            (step["since"], version)
            for place, step in enumerate(history)
            if (version := _live(history[: place + 1])) is not None
        ]

    def promote(self, kind: str, version: int, tell: Tell = untold) -> int | None:
        """Make a version live; return the one that was. `tell` hears of it unless it was live.

        Raises
        ------
        SettingsError
            There is no such version.
        """
        known = [row["version"] for row in self.versions(kind)]
        if version not in known:
            numbers = ", ".join(map(str, known)) or "none"
            raise SettingsError(f"expected a version of {kind} among {numbers}, found {version}")
        history = self._history(kind)
        before = _live(history)
        if before != version:
            tell(Change("promote", kind, version, before, self._sha256(kind, version)))
            self._write(kind, history, {"version": version})
        return before

    def rollback(self, kind: str, tell: Tell = untold) -> int:
        """Make the version live that was before, once `tell` heard of it; return it.

        Raises
        ------
        SettingsError
            None was, or it is there no more.
        """
        history = self._history(kind)
        stack = _stack(history)
        if len(stack) < 2:
            raise SettingsError(f"expected an earlier live version of {kind}, found none")
        version, before = stack[-2], stack[-1]
        tell(Change("rollback", kind, version, before, self._sha256(kind, version)))
        self._write(kind, history, {"rollback": True})
        return version

    def _file(self, kind: str, version: int) -> Path:
        return self._folder / kind / f"{version:04d}" / MODEL

    def _sha256(self, kind: str, version: int) -> str:
        path = self._file(kind, version)
        if not path.is_file():
            raise SettingsError(f"expected version {version} of {kind} in {path}, found none")
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def _history(self, kind: str) -> list[dict[str, Any]]:
        path = self._folder / kind / HISTORY
        history: list[dict[str, Any]] = json.loads(path.read_bytes()) if path.is_file() else []
        return history

    def _write(self, kind: str, history: list[dict[str, Any]], step: dict[str, Any]) -> None:
        since = time.time_ns() // 1_000_000 + SETTLE_MS
        path = self._folder / kind / HISTORY
        new = path.with_suffix(".new")
        new.write_text(json.dumps([*history, step | {"since": since}]))
        new.replace(path)


def _stack(history: list[dict[str, Any]]) -> list[int]:
    """Return the versions that could be gone back to, the live one last."""
    found: list[int] = []
    for step in history:
        if step.get("rollback"):
            found.pop()
        else:
            found.append(step["version"])
    return found


def _live(history: list[dict[str, Any]]) -> int | None:
    stack = _stack(history)
    return stack[-1] if stack else None
