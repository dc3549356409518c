"""Batch models that were kept in SENTINEL_HOME go to PostgreSQL, once, at the first start.

Before, ``models/<tenant>/<source>/<kind>`` had versions as pickles and ``history.json``. All of
it is taken over, with the times from which each version was live, so that a replay scores as it
did; then the folder is called ``models-taken-over``. Reading a pickle can run code: these are
read from the user's own folder as they always were, never from the database, and only what
scikit-learn and NumPy define is let in.
"""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from detectors.batch_models.fitted import Autoencoder, Forest, Svm
from detectors.batch_models.kinds import Trained
from sentinel import batch_models, postgres
from sentinel.errors import SettingsError

_OURS: Final = "detectors.batch_models.kinds"
_LET_IN: Final = {"sklearn", "numpy", "scipy"}


def take_over(home: Path, dsn: str, report: Callable[[str], None]) -> None:
    """Take over what is in `home`, if anything; what cannot be is said, and left where it is."""
    folder = home / "models"
    if not folder.is_dir():
        return
    kinds = sorted({path.parents[1] for path in folder.glob("*/*/*/*/about.json")})
    left = asyncio.run(_all(kinds, dsn, report))
    if not left:
        folder.rename(home / "models-taken-over")


async def _all(kinds: list[Path], dsn: str, report: Callable[[str], None]) -> int:
    """Take over every kind; return how many could not be."""
    left = 0
    pool = await postgres.open_pool(dsn, postgres.TRAINER, tenant=postgres.ALL_TENANTS, size=1)
    try:
        for kind in kinds:
            where = "/".join(kind.parts[-3:])
            try:
                async with pool.acquire() as connection, connection.transaction():
                    count = await _one(connection, kind)
            except (OSError, ValueError, LookupError, SettingsError, pickle.PickleError) as error:
                left += 1
                report(f"batch models of {kind} were not taken over: {error}; train new ones")
                continue
            if count:
                report(f"took over {count} versions of {where} from SENTINEL_HOME")
    finally:
        await pool.close()
    return left


async def _one(connection: Any, kind: Path) -> int:
    """Take over the versions and steps of one kind, unless it is there; return how many."""
    *_, tenant, source, name = kind.parts
    await batch_models.lock(connection)
    if await batch_models.versions(connection, tenant, source, name):
        return 0
    count = 0
    for number, about, model in _versions(kind):
        await batch_models.add(connection, tenant, source, about, model.dump(), number)
        count += 1
    history = kind / "history.json"
    for step in json.loads(history.read_bytes()) if history.is_file() else []:
        version, since = step.get("version"), step["since"]
        await batch_models.step(connection, tenant, source, name, version, since)
    return count


def _versions(kind: Path) -> Iterator[tuple[int, dict[str, Any], Trained]]:
    """Yield number, description and model of each version in a folder."""
    for path in sorted(kind.glob("*/about.json")):
        about = json.loads(path.read_bytes())
        with path.with_name("model.pkl").open("rb") as file:
            old = _Unpickler(file).load()
        yield about.pop("version"), about, _converted(old)


class _Unpickler(pickle.Unpickler):
    """Reads what was pickled; our classes of then as bare namespaces."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what a name stands for; raise `pickle.UnpicklingError` for others."""
        if module == _OURS:
            return SimpleNamespace
        if module.partition(".")[0] in _LET_IN:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"expected a model, found {module}.{name}")


def _converted(old: SimpleNamespace) -> Trained:
    """Return a model of then as it is now."""
    made = old._estimator
    if old.kind == "isolation_forest":
        fitted: Any = Forest.of(made._fitted)
    elif old.kind == "one_class_svm":
        fitted = Svm.of(made._fitted[0], made._fitted[1])
    else:
        fitted = Autoencoder.of(made._scaler, made._fitted)
    return Trained(old.kind, old.contamination, fitted, old._known, old._usual)
