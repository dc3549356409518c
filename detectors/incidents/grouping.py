"""Alerts to incidents: those that share a link are one, while that says something.

Two alerts belong together when they share a *link* (the entity that acted, an address it came
from, a resource it touched; `detectors.incidents.links`) and lie at most `Limits.window_ms` of
event time apart; incidents are the connected components of that relation. Left to themselves
such components swallow everything (one scanner, one service account), so:

- a link that more than `Limits.hub` alerts of the window share is a *hub* and links nothing;
- an incident takes at most `Limits.alerts` alerts and spans at most `Limits.span_ms`; what does
  not fit begins another one.

As long as no limit is reached the grouping does not depend on the order in which alerts come
(property-tested against the components of the whole set). With one it does, as any grouping
must that never takes an alert out of an incident again; the same alerts in the same order give
the same incidents.

Pure: `streams.sinks.postgres` loads what is near, calls `assign` and stores what changed.
"""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from detectors.incidents.tactics import tactics_of

#: Namespace of incident ids: a random uuid, fixed for ever.
NAMESPACE: Final = uuid.UUID("0c2f7a34-31d8-4bb1-9c55-5a5d0b0a8f5e")
DAY_MS: Final = 86_400_000
#: Title of an alert that says no more than that others add up.
RISK: Final = "Risk of an entity adds up"
#: Entities, techniques and sources that an incident names.
NAMED: Final = 100


class Limits(NamedTuple):
    """What keeps incidents apart, see the module."""

    window_ms: int = DAY_MS
    hub: int = 50
    alerts: int = 500
    span_ms: int = 7 * DAY_MS


LIMITS: Final = Limits()


class Member(NamedTuple):
    """An alert; times are ms since the epoch, UTC, of its first and last event."""

    id: str
    title: str
    severity_id: int
    score: float
    techniques: tuple[str, ...]
    entity: str
    source: str
    first_seen: int
    last_seen: int
    links: frozenset[str]


class Near(NamedTuple):
    """An alert that is in an incident already and has a link in question."""

    alert: str
    incident: str
    first_seen: int
    last_seen: int


class Incident(msgspec.Struct):
    """One incident; `title` is of its worst alert, of several such the first (`lead_seen`)."""

    id: str
    title: str
    severity_id: int
    score: float
    techniques: list[str]
    entities: list[str]
    sources: list[str]
    alerts: int
    first_seen: int
    last_seen: int
    lead_seen: int

    @property
    def tactics(self) -> tuple[str, ...]:
        """ATT&CK tactics of the techniques, in the order of an attack."""
        return tactics_of(self.techniques)


@dataclass(slots=True)
class Known:
    """What is stored about the alerts in question, of one tenant.

    Attributes
    ----------
    near
        Alerts by link, of those links that the alerts in question have.
    incidents
        By id: all that `near` and `own` name.
    own
        Incident of each alert in question that is in one.
    """

    near: Mapping[str, Iterable[Near]] = field(default_factory=dict)
    incidents: Mapping[str, Incident] = field(default_factory=dict)
    own: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Assigned:
    """What is to be stored.

    Attributes
    ----------
    incidents
        Changed or new, by id.
    alerts
        Incident of each alert in question.
    merged
        Incidents that ended, each with the one that has its alerts now.
    hubs
        Links that linked nothing, for too many have them.
    """

    incidents: dict[str, Incident] = field(default_factory=dict)
    alerts: dict[str, str] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)
    hubs: set[str] = field(default_factory=set)


def incident_id(tenant: str, alert: str) -> str:
    """Return the id of the incident that an alert began."""
    return str(uuid.uuid5(NAMESPACE, f"{tenant}\x1f{alert}"))


def assign(
    tenant: str, members: Iterable[Member], known: Known, limits: Limits = LIMITS
) -> Assigned:
    """Find or begin the incident of each alert; merge incidents that an alert connects.

    Alerts are taken in the order of their first events. One that is in an incident already
    stays in it, and may connect it to others by links that are new.
    """
    work = _Work(tenant, known, limits)
    for member in sorted(members, key=lambda each: (each.first_seen, each.id)):
        work.take(member)
    return work.finish()


class _Work:
    """One call of `assign`."""

    def __init__(self, tenant: str, known: Known, limits: Limits) -> None:
        self._tenant, self._limits = tenant, limits
        self._own = dict(known.own)
        self._incidents = {
            ident: msgspec.structs.replace(
                each,
                techniques=[*each.techniques],
                entities=[*each.entities],
                sources=[*each.sources],
            )
            for ident, each in known.incidents.items()
        }
        self._near: dict[str, dict[str, Near]] = defaultdict(dict)
        for link, found in known.near.items():
            self._near[link] = {each.alert: each for each in found}
        self._touched: set[str] = set()
        self._out = Assigned()

    def take(self, member: Member) -> None:
        """Give one alert its incident."""
        candidates = self._candidates(member)
        ident = self._resolve(self._own[member.id]) if member.id in self._own else ""
        more = 0
        if not ident:
            ident = next((each for each in candidates if self._fits(each, member)), "")
            more = 1
        if not ident:
            ident = incident_id(self._tenant, member.id)
            self._incidents[ident] = _begun(ident, member)
        _add(self._incidents[ident], member, more)
        for other in candidates:
            ident = self._merge(ident, other)
        self._touched.add(ident)
        self._own[member.id] = self._out.alerts[member.id] = ident
        for link in member.links:
            place = Near(member.id, ident, member.first_seen, member.last_seen)
            self._near[link][member.id] = place

    def _candidates(self, member: Member) -> list[str]:
        """Return the incidents that share a link, those that share most and are oldest first."""
        window, shared = self._limits.window_ms, Counter[str]()
        for link in member.links:
            near = [
                each
                for each in self._near[link].values()
                if each.alert != member.id
                and each.last_seen >= member.first_seen - window
                and each.first_seen <= member.last_seen + window
            ]
            if len(near) > self._limits.hub:
                self._out.hubs.add(link)
                continue
            shared.update({self._resolve(each.incident) for each in near})
        return sorted(shared, key=lambda each: (-shared[each], self._age(each)))

    def _age(self, ident: str) -> tuple[int, str]:
        return self._incidents[ident].first_seen, ident

    def _fits(self, ident: str, member: Member) -> bool:
        incident = self._incidents[ident]
        first = min(incident.first_seen, member.first_seen)
        last = max(incident.last_seen, member.last_seen)
        return incident.alerts < self._limits.alerts and last - first <= self._limits.span_ms

    def _merge(self, one: str, other: str) -> str:
        """Put two incidents together if they fit into one; return the one that `one` is now."""
        other = self._resolve(other)
        if one == other:
            return one
        into, gone = sorted((one, other), key=self._age)
        kept, ended = self._incidents[into], self._incidents[gone]
        span = max(kept.last_seen, ended.last_seen) - kept.first_seen
        if kept.alerts + ended.alerts > self._limits.alerts or span > self._limits.span_ms:
            return one
        _absorb(kept, ended)
        self._out.merged[gone] = into
        self._touched.add(into)
        return into

    def _resolve(self, ident: str) -> str:
        while ident in self._out.merged:
            ident = self._out.merged[ident]
        return ident

    def finish(self) -> Assigned:
        """Return what changed, every id being that of an incident which still is one."""
        out = self._out
        out.alerts = {alert: self._resolve(ident) for alert, ident in out.alerts.items()}
        out.merged = {gone: self._resolve(gone) for gone in out.merged}
        living = {self._resolve(ident) for ident in self._touched}
        out.incidents = {ident: self._incidents[ident] for ident in sorted(living, key=self._age)}
        return out


def _begun(ident: str, member: Member) -> Incident:
    return Incident(
        id=ident,
        title=member.title,
        severity_id=member.severity_id,
        score=member.score,
        techniques=[],
        entities=[],
        sources=[],
        alerts=0,
        first_seen=member.first_seen,
        last_seen=member.last_seen,
        lead_seen=member.first_seen,
    )


def _add(incident: Incident, member: Member, more: int) -> None:
    """Bring an incident up to date with an alert, which may be in it already."""
    _lead(incident, member.severity_id, member.first_seen, member.title)
    incident.alerts += more
    incident.score = max(incident.score, member.score)
    incident.first_seen = min(incident.first_seen, member.first_seen)
    incident.last_seen = max(incident.last_seen, member.last_seen)
    incident.techniques = _union(incident.techniques, member.techniques)
    incident.entities = _union(incident.entities, [member.entity] if member.entity else [])
    incident.sources = _union(incident.sources, [member.source])


def _absorb(kept: Incident, ended: Incident) -> None:
    _lead(kept, ended.severity_id, ended.lead_seen, ended.title)
    kept.alerts += ended.alerts
    kept.score = max(kept.score, ended.score)
    kept.first_seen = min(kept.first_seen, ended.first_seen)
    kept.last_seen = max(kept.last_seen, ended.last_seen)
    kept.techniques = _union(kept.techniques, ended.techniques)
    kept.entities = _union(kept.entities, ended.entities)
    kept.sources = _union(kept.sources, ended.sources)


def _lead(incident: Incident, severity_id: int, seen: int, title: str) -> None:
    """Take the title of the worst alert, of several such the first; a risk's only for want."""
    mine = (incident.title == RISK, -incident.severity_id, incident.lead_seen, incident.title)
    if (title == RISK, -severity_id, seen, title) < mine:
        incident.lead_seen, incident.title = seen, title
    incident.severity_id = max(incident.severity_id, severity_id)


def _union(have: Iterable[str], more: Iterable[str]) -> list[str]:
    return sorted({*have, *more})[:NAMED]
