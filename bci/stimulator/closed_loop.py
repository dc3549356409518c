"""Closed loop: neural events in, commands to the stimulator out. A pure function.

A rule looks for a pattern of spikes on some channels: so many within a window of device
samples. What it answers with is a pattern on an electrode, at most once in `hold_ms`. Time is
that of the samples alone, so a replay gives the same commands with the same ids, and the rig
makes each only once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

#: Kinds of neural events (``schemas/neural_event.schema.json``) that hold spikes.
SPIKES: Final = "spike_batch"


@dataclass(frozen=True, slots=True)
class LoopRule:
    """When to stimulate, and how.

    Attributes
    ----------
    name
        Part of the commands' ids.
    electrode, config
        Of the stimulus: 1 to 96, and the pattern 1 to 15, which must have been set.
    kind
        Kind of the event; ``spike_batch`` looks at its spikes, any other is enough by itself.
    channels
        Channels that count; none: all.
    spikes, window_ms
        So many spikes within so long.
    hold_ms
        Time after a stimulus in which there is no other.
    device
        Which stimulator.
    """

    name: str
    electrode: int
    config: int
    kind: str = SPIKES
    channels: frozenset[int] = frozenset()
    spikes: int = 5
    window_ms: float = 10.0
    hold_ms: float = 100.0
    device: str = "cerestim"


#: Device sample of the last stimulus by session and rule, and spikes that may still count.
State = Mapping[tuple[str, str], tuple[int, tuple[int, ...]]]


def respond(
    rules: Sequence[LoopRule], state: State, event: Mapping[str, Any], time_ms: int
) -> tuple[State, list[dict[str, Any]]]:
    """Return the state after an event, and the commands that it calls for.

    Parameters
    ----------
    state
        Of the call before, at first an empty one; it is not changed.
    time_ms
        Of the commands, ms since 1970: those that come late are not obeyed.

    Examples
    --------
    >>> rule = LoopRule("r", electrode=3, config=1, spikes=2)
    >>> event = {"kind": "spike_batch", "session": "s", "bank": 0, "fs": 30_000.0,
    ...          "sample": [100, 5000, 5100], "channel": [0, 0, 4]}
    >>> state, commands = respond([rule], {}, event, 0)
    >>> commands[0]["id"], commands[0]["arguments"]
    ('s/0/r/5100', {'electrode': 3, 'configID': 1})
    >>> respond([rule], state, event | {"sample": [5200], "channel": [0]}, 0)[1]
    []
    """
    session, fs = f"{event.get('session')}/{event.get('bank')}", float(event.get("fs") or 0)
    after, commands = dict(state), list[dict[str, Any]]()
    for rule in rules:
        if rule.kind != event.get("kind") or not fs:
            continue
        key = (session, rule.name)
        last, waiting = after.get(key, (-1, ()))
        hits, last, waiting = _hits(rule, event, fs, last, waiting)
        after[key] = (last, waiting)
        commands += (_command(rule, f"{session}/{rule.name}/{at}", time_ms) for at in hits)
    return after, commands


def _hits(
    rule: LoopRule, event: Mapping[str, Any], fs: float, last: int, waiting: Iterable[int]
) -> tuple[list[int], int, tuple[int, ...]]:
    """Return the samples at which to stimulate, the last of all, and spikes that still count."""
    hold, window = rule.hold_ms * fs / 1000, rule.window_ms * fs / 1000
    hits: list[int] = []
    if rule.kind != SPIKES:
        at = int(event.get("last") or 0)
        if last < 0 or at - last >= hold:
            return [at], at, ()
        return [], last, ()
    recent = list(waiting)
    for at, channel in zip(event.get("sample", ()), event.get("channel", ()), strict=False):
        if rule.channels and channel not in rule.channels:
            continue
        recent = [other for other in recent if at - other <= window]
        recent = [*recent[-rule.spikes :], at]
        if len(recent) >= rule.spikes and (last < 0 or at - last >= hold):
            hits.append(at)
            last, recent = at, []
    return hits, last, tuple(recent)


def _command(rule: LoopRule, name: str, time_ms: int) -> dict[str, Any]:
    return {
        "id": name,
        "device": rule.device,
        "call": "manualStimulus",
        "arguments": {"electrode": rule.electrode, "configID": rule.config},
        "time_ms": time_ms,
    }
