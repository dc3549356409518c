"""CloudTrail events to measure on: real ones where there are any, the simulator's otherwise."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from sentinel.errors import SettingsError
from sentinel.reading import Reader
from sentinel.sample.hour import simulate
from sentinel.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("cloudtrail_invictus", "cloudtrail_stratus")
SEED = 7


class Sample(NamedTuple):
    """Events and where they are from.

    Attributes
    ----------
    raws
        Compact JSON, no id twice.
    origin
        In words, for the table.
    """

    raws: list[bytes]
    origin: str

    @property
    def mean_bytes(self) -> int:
        """Mean size of an event."""
        return sum(map(len, self.raws)) // len(self.raws)


def data(settings: Settings) -> Path:
    """Return the folder of real logs, which need not exist."""
    return settings.data if settings.data.is_absolute() else ROOT / settings.data


def sample(settings: Settings, number: int) -> Sample:
    """Return `number` events: those there are, again and again, each with an id of its own.

    Their times stay: at rates worth measuring, an hour of one window holds millions of
    events, so a copy is an event of the same time rather than one of another day.
    """
    records, origin = _real(data(settings)), "real CloudTrail"
    if not records:
        records, origin = list(_simulated()), "the sample"
    records.sort(key=lambda record: str(record["eventTime"]))
    chance = random.Random(SEED)
    raws = [
        orjson.dumps(record | {"eventID": str(uuid.UUID(int=chance.getrandbits(128)))})
        for record in islice(cycle(records), number)
    ]
    return Sample(raws, f"{origin}, {len(records)} events repeated")


def _real(folder: Path) -> list[dict[str, Any]]:
    paths = [folder / name for name in FOLDERS if (folder / name).is_dir()]
    found = []
    for _, raw in Reader(paths):
        record = orjson.loads(raw)
        if isinstance(record, dict) and {"eventTime", "eventID"} <= record.keys():
            found.append(record)
    return found


def _simulated() -> Iterator[dict[str, Any]]:
    for event in simulate(SEED):
        if event.source == "cloudtrail":
            yield orjson.loads(event.raw)


def public_rules(settings: Settings) -> list[Path]:
    """Return the directories of public Sigma rules: one, or none where there are none."""
    folder = data(settings) / "sigma_rules"
    return [folder] if folder.is_dir() else []


def batches(raws: list[bytes], size: int) -> Iterator[list[bytes]]:
    """Yield `raws` in batches."""
    if size < 1:
        raise SettingsError(f"expected a batch of at least one event, found {size}")
    for start in islice(count(0, size), -(-len(raws) // size)):
        yield raws[start : start + size]
