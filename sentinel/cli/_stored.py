"""Events out of PostgreSQL or files as batches in order of time: for training and seeding."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from detectors.sigma import RuleSet
from schemas.batch import EventBatch
from sentinel import local, postgres
from sentinel.cli import _client, _common, _offline
from sentinel.cli._offline import Problems
from sentinel.errors import SettingsError
from sentinel.reading import Reader
from streams.normalizer import Normalizer, Units

BATCH = 5000
#: Most events taken from the store: the latest of the span.
MOST = 2_000_000
#: Topic that stored events are said to come from, so that no later event looks replayed.
TOPIC = "stored"
#: Stored columns have no user agent and region: events are read anew from their raw text.
_QUERY = """
SELECT raw FROM public.events
WHERE source = $1 AND tenant = $2 AND time >= $3 AND raw <> ''
  AND ($5::boolean OR NOT EXISTS (
    SELECT FROM public.alert_events e JOIN public.alerts a
      ON (a.tenant, a.id) = (e.tenant, e.alert_id)
    WHERE e.tenant = $2 AND e.event_uid = events.uid AND a.disposition = 'true_positive'))
ORDER BY arrived DESC, uid DESC LIMIT $4
"""


def batches(
    source: str,
    tenant: str,
    paths: Sequence[str] = (),
    since: str | None = None,
    partitions: int = 1,
    *,
    attacks: bool = True,
) -> list[tuple[int, EventBatch]]:
    """Return events of a source, in order of time, each batch with its events partition.

    Parameters
    ----------
    paths
        Files or folders as the source writes them; none: those stored in PostgreSQL.
    since
        With stored events: from this time on, or a span back from now such as 14d.
    partitions
        Number of partitions of ``events``.
    attacks
        With stored events: also those of alerts that people found right.

    Raises
    ------
    SettingsError
        There is no good event.
    """
    connector = _offline.connector(source)
    problems = Problems()
    if paths:
        reader = Reader(list(paths), cut=connector.records)
        raws = [unit.raw for unit in _offline.units(reader, connector, problems)]
    else:
        raws = _common.run(_stored(source, tenant, since, attacks=attacks))
    normalizer = Normalizer(source, connector, RuleSet.load([]), partitions)
    numbers = list(range(len(raws)))
    units = Units(raws, [tenant] * len(raws), numbers, numbers, [0] * len(raws))
    found, bad = normalizer.normalize(units, (TOPIC, 0), 0, len(raws)) if raws else ([], [])
    if bad:
        _common.note(f"{len(bad)} events could not be read and were left out")
    if not found:
        where = ", ".join(paths) or f"PostgreSQL since {since}"
        raise SettingsError(f"expected {source} events of tenant {tenant} in {where}, found none")
    parts = [(place, part) for place, whole in found for part in _ordered(whole)]
    return sorted(parts, key=lambda part: int(part[1].time[0]))


def _ordered(whole: EventBatch) -> list[EventBatch]:
    """Cut a batch into parts in order of time, whose sequences count up."""
    order = np.argsort(whole.time, kind="stable")
    sizes = [min(BATCH, len(order) - start) for start in range(0, len(order), BATCH)]
    parts = whole.split(order, sizes, 0, len(order) - 1)
    first = 0
    for part in parts:
        part.origin = np.arange(first, first + len(part))
        part.origin_first, part.origin_last = first, first + len(part) - 1
        first += len(part)
    return parts


async def _stored(source: str, tenant: str, since: str | None, *, attacks: bool) -> list[bytes]:
    """Return the raw text of stored events, oldest first."""
    settings = local.connect(_common.settings(), "postgres")
    start = datetime.fromisoformat(_client.moment(since or "14d") or "")
    pool = await postgres.open_pool(settings.postgres, postgres.API, tenant=tenant, size=1)
    try:
        rows = await pool.fetch(_QUERY, source, tenant, start, MOST, attacks)
    finally:
        await pool.close()
    return [row["raw"].encode() for row in reversed(rows)]
