"""Golden pairs: raw events we wrote ourselves, and the OCSF events they must become.

``tests/connectors/golden/<connector>/<case>.raw.<any>`` is one Kafka message of the
source; ``<case>.ocsf.json`` beside it is the list of its OCSF events. ``python -m
connectors golden`` rewrites the second from the first: read the difference before
committing it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from connectors.base import OCSF, Connector

PLACE = Path("tests", "connectors", "golden")


def cases(place: Path, name: str) -> Iterator[tuple[Path, Path]]:
    """Yield the raw and the expected file of every case of connector `name`."""
    for raw in sorted((place / name).glob("*.raw.*")):
        yield raw, raw.with_name(raw.name.partition(".raw.")[0] + ".ocsf.json")


def events(connector: Connector, value: bytes) -> list[OCSF]:
    """Return the OCSF events of one message, the unfinished ones included."""
    units = list(connector.split(value))
    assembler = connector.assembler()
    if assembler is not None:
        units = [*assembler.feed(units, 0), *assembler.flush()]
    return [connector.to_ocsf(unit) for unit in units]


def dump(found: list[OCSF]) -> str:
    """Return what an expected file holds."""
    return json.dumps(found, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def rewrite(place: Path, connectors: dict[str, type[Connector]]) -> list[Path]:
    """Write every expected file anew; return those that changed."""
    changed = []
    for name, connector in connectors.items():
        for raw, expected in cases(place, name):
            text = dump(events(connector(), raw.read_bytes()))
            old = expected.read_bytes() if expected.exists() else b"null"
            if json.loads(old) != json.loads(text):
                expected.write_text(text, encoding="utf-8")
                changed.append(expected)
    return changed
