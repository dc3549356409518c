"""What the partitions have let through of budgets, settled between them in PostgreSQL.

Each worker tells what its partitions counted and learns what the others did, together with its
suppressions, every two seconds: no alert waits for it. What is told is the whole count of a
partition, not what came since, so telling it twice, or again in a replay, changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detectors.suppress.gate import Gate, tenant_and_end
from sentinel import postgres

SQL = postgres.queries(Path(__file__).with_suffix(".sql"))


async def settle(connection: Any, gates: Mapping[int, Gate]) -> None:
    """Tell what each gate, by partition, let through, and let it know of the others.

    Parameters
    ----------
    connection
        Of the worker's role, of all tenants.
    """
    told = {partition: gate.counted() for partition, gate in gates.items()}
    rows = [
        (*tenant_and_end(key), _text(key), partition, count)
        for partition, counts in told.items()
        for key, count in counts.items()
    ]
    if rows:
        tenants, ends, keys, partitions, counts = zip(*rows, strict=True)
        await connection.execute(SQL["tell"], tenants, keys, partitions, counts, ends)
        await connection.execute(SQL["forget"])
    known: dict[str, dict[int, int]] = defaultdict(dict)
    for row in await connection.fetch(SQL["known"]):
        known[_key(row["key"])][row["partition"]] = row["count"]
    for partition, gate in gates.items():
        gate.settle(
            told[partition],
            {key: sum(counts.values()) - counts.get(partition, 0) for key, counts in known.items()},
        )


def _text(key: str) -> str:
    """Return a key as PostgreSQL takes it: the id of a rule may have any character."""
    return key.encode("unicode_escape").decode("ascii")


def _key(text: str) -> str:
    return text.encode("ascii").decode("unicode_escape")
