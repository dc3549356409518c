"""Incidents, kept in the transaction that writes the alerts, under the same lock.

Only what is open counts: an alert that is suppressed or staged is in no incident until it opens.
The grouping itself is `detectors.incidents.grouping`; merged incidents stay, empty, with the id
of the one that has their alerts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from json import dumps
from pathlib import Path
from typing import Any

import msgspec

from detectors.incidents.grouping import LIMITS, Assigned, Incident, Known, Member, Near, assign
from detectors.incidents.links import links
from sentinel import postgres
from streams.sinks import _storable
from streams.sinks.base import AlertRow

SQL = postgres.queries(Path(__file__).with_suffix(".sql"))
#: The years 1 to 9999, as the tables have them, in ms since the epoch.
EARLIEST, LATEST = -62_135_596_800_000, 253_402_300_799_999


async def group(
    connection: Any, alerts: Sequence[AlertRow], open_: Iterable[tuple[str, str]]
) -> None:
    """Put alerts into incidents.

    Parameters
    ----------
    connection
        Within the transaction that wrote them, holding their lock.
    alerts
        The batch; of several records of an alert the last counts, and the events of all.
    open_
        Tenant and id of those that were created or amended and are open.
    """
    wanted = set(open_)
    by_tenant: dict[str, dict[str, Member]] = defaultdict(dict)
    for row in sorted(alerts, key=lambda each: each.count):
        if (row.tenant, row.id) in wanted:
            members = by_tenant[row.tenant]
            members[row.id] = _member(row, members.get(row.id))
    for tenant in sorted(by_tenant):
        await _group(connection, tenant, by_tenant[tenant])


def _member(row: AlertRow, before: Member | None) -> Member:
    found = links(row.entity, (event.ocsf for event in row.events))
    found = frozenset(map(_storable.text, found)) | (before.links if before else frozenset())
    return Member(
        id=row.id,
        title=row.title,
        severity_id=min(max(row.severity_id, 1), 5),
        score=row.score,
        techniques=tuple(row.techniques),
        entity=row.entity,
        source=row.source,
        first_seen=min(max(row.first_seen, EARLIEST), LATEST),
        last_seen=min(max(row.last_seen, EARLIEST), LATEST),
        links=found,
    )


async def _group(connection: Any, tenant: str, members: Mapping[str, Member]) -> None:
    """Group the alerts of one tenant."""
    own = {row[0]: row[1] for row in await connection.fetch(SQL["own"], tenant, [*members])}
    has: dict[str, set[str]] = defaultdict(set)
    for alert, link in await connection.fetch(SQL["links"], tenant, [*own]) if own else ():
        has[alert].add(link)
    new = {ident: each.links - has[ident] for ident, each in members.items()}
    near = await _near(connection, tenant, [(members[ident], new[ident]) for ident in members])
    idents = {*own.values(), *(each.incident for found in near.values() for each in found)}
    rows = await connection.fetch(SQL["incidents"], tenant, sorted(idents)) if idents else []
    incidents = {row["id"]: msgspec.convert(dict(row), Incident) for row in rows}
    # A link that was there before has linked already: only new ones are looked at.
    asked = [each._replace(links=frozenset(new[ident])) for ident, each in members.items()]
    made = assign(tenant, asked, Known(near, incidents, own), LIMITS)
    await _store(connection, tenant, made, members)


async def _near(
    connection: Any, tenant: str, asked: Iterable[tuple[Member, Iterable[str]]]
) -> dict[str, list[Near]]:
    """Return the alerts that have any of the links in question, near in time."""
    pairs = [
        (link, member.first_seen - LIMITS.window_ms, member.last_seen + LIMITS.window_ms)
        for member, found in asked
        for link in sorted(found)
    ]
    near: dict[str, list[Near]] = defaultdict(list)
    if pairs:
        columns = zip(*pairs, strict=True)
        most = LIMITS.hub + 2  # an alert itself may be among them
        for link, *row in await connection.fetch(SQL["near"], tenant, *columns, most):
            near[link].append(Near(*row))
    return near


async def _store(
    connection: Any, tenant: str, made: Assigned, members: Mapping[str, Member]
) -> None:
    if made.incidents:
        rows = [_columns(each) for each in made.incidents.values()]
        await connection.execute(SQL["upsert"], tenant, *zip(*rows, strict=True))
    if made.merged:
        pairs = [[*made.merged], [*made.merged.values()]]
        await connection.execute(SQL["merge"], tenant, *pairs)
        await connection.execute(SQL["move"], tenant, *pairs)
    await connection.execute(SQL["place"], tenant, [*made.alerts], [*made.alerts.values()])
    found = [
        (each.id, link, each.first_seen, each.last_seen)
        for each in members.values()
        for link in sorted(each.links)
    ]
    if found:
        await connection.execute(SQL["link"], tenant, *zip(*found, strict=True))


def _columns(each: Incident) -> tuple[Any, ...]:
    lists = dumps([each.tactics, each.techniques, each.entities, each.sources])
    seen = (each.first_seen, each.last_seen, each.lead_seen)
    return (each.id, each.title, each.severity_id, each.score, lists, each.alerts, *seen)
