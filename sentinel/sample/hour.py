"""The sample hour: everyone's events and the attacks, in order of time."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from functools import partial
from random import Random
from typing import NamedTuple

from sentinel.sample import auditd, cloudtrail, stories
from sentinel.sample.company import HOSTS, OFFICE_IPS, PEOPLE, SERVICES, Actor, Host, busy
from sentinel.sample.stories import Label, Planned

BENIGN = Label(False)
#: How long after the start the attacks begin, as a share of the whole.
KEY_STORY_AT, WEB_STORY_AT = 0.35, 0.6
#: Share of a person's calls that are refused, and that come without an error otherwise.
DENIED = 0.01


class Event(NamedTuple):
    """One simulated event.

    Attributes
    ----------
    time
        Seconds since the epoch, UTC.
    source
        Name of the connector that reads it.
    uid
        The source's own id: the CloudTrail ``eventID``; ``node:timestamp:serial``.
    raw
        The bytes as the source writes them; for auditd several lines.
    label
        Ground truth.
    """

    time: float
    source: str
    uid: str
    raw: bytes
    label: Label


def simulate(
    seed: int = 7,
    start: float = 1_767_600_000,
    minutes: float = 60,
    pace: float = 1.0,
    attacks: bool = True,
) -> Iterator[Event]:
    """Yield the events of `minutes`, in order of time.

    Parameters
    ----------
    seed
        Everything random derives from it; the same arguments give the same bytes.
    start
        Seconds since the epoch, UTC.
    minutes
        How long it lasts; the attacks are placed by share, so a short run has them too.
    pace
        How busy people and services are on AWS; 1 is about 54,000 events a day.
    attacks
        Whether there are any; without, every event is an ordinary one.
    """
    actors = [actor._replace(rate=actor.rate * pace) for actor in (*PEOPLE, *SERVICES)]
    streams = [_actor(seed, actor, start, minutes) for actor in actors]
    streams += [_host(seed, host, start, minutes, attacks) for host in HOSTS]
    if attacks:
        begin = start + 60 * minutes * KEY_STORY_AT
        key = stories.stolen_key(Random(f"{seed}/{start}/key"), begin)
        streams.append(Event(t, "cloudtrail", ident, raw, label) for t, ident, raw, label in key)
    yield from heapq.merge(*streams, key=lambda event: event.time)


def _actor(seed: int, actor: Actor, start: float, minutes: float) -> Iterator[Event]:
    """Yield what one person or service does on AWS: a Poisson process of varying rate."""
    random = Random(f"{seed}/{start}/{actor.name}")
    weights = [call.weight for call in actor.calls]
    peak = actor.rate * 1.4
    time = start
    while (time := time + 60 * random.expovariate(peak)) < start + 60 * minutes:
        if random.random() * peak > busy(actor, (time - start) / 60):
            continue  # thinning: this moment is a quieter one
        call = random.choices(actor.calls, weights)[0]
        denied = actor.human and random.random() < DENIED
        ident, raw = cloudtrail.record(
            random,
            time,
            actor,
            call.service,
            call.name,
            read_only=call.read_only,
            parameters=dict(call.parameters) if call.parameters else None,
            error="AccessDenied" if denied else "",
        )
        yield Event(time, "cloudtrail", ident, raw, BENIGN)


def _host(seed: int, host: Host, start: float, minutes: float, attacks: bool) -> Iterator[Event]:
    """Yield what happens on one host: sessions of people, timers, and on one the attack.

    All of it is planned first and written in order of time, because the kernel
    numbers a host's events so.
    """
    random, log = Random(f"{seed}/{start}/{host.name}"), auditd.Log(host.name)
    plan = [*_sessions(random, host, start, minutes), *_timers(random, host, start, minutes)]
    if attacks and host is HOSTS[0]:
        plan += stories.web_shell(
            Random(f"{seed}/{start}/web"), start + 60 * minutes * WEB_STORY_AT
        )
    for item in sorted(plan, key=lambda planned: planned.time):
        ident, raw = item.write(log)
        yield Event(item.time, "auditd", ident, raw, item.label)


def _command(time: float, argv: tuple[str, ...], uid: int, auid: int) -> Planned:
    """Plan a benign command."""
    return Planned(
        time, partial(auditd.Log.command, time=time, argv=argv, uid=uid, auid=auid), BENIGN
    )


def _sessions(random: Random, host: Host, start: float, minutes: float) -> Iterator[Planned]:
    """Plan the sessions of people: a login, then commands some seconds apart."""
    for _, uid in host.logins:
        time = start + random.uniform(0, 600)
        while time < start + 60 * minutes:
            login = partial(auditd.Log.login, time=time, uid=uid, address=OFFICE_IPS[0])
            yield Planned(time, login, BENIGN)
            for _ in range(random.randint(3, 15)):
                time += random.expovariate(1 / 12)
                yield _command(time, random.choice(host.commands), uid, uid)
            time += random.expovariate(1 / 900)


def _timers(random: Random, host: Host, start: float, minutes: float) -> Iterator[Planned]:
    """Plan what timers run: every five minutes, a little late each time."""
    time = start + random.uniform(0, 300)
    while time < start + 60 * minutes:
        late = time + random.uniform(0, 2)
        yield _command(late, random.choice(host.timers), 0, auditd.UNSET)
        time += 300
