"""The engine of correlations: contributions in, alerts and their amendments out.

State of one ``signals`` partition, which has whole groups (tenant, root, values grouped by).

**The same whatever the way.** The windows of a group depend on its events, not on the order in
which they came or how batches were cut; so does the id of an alert: uuid5 of tenant, root, group
and window. A sliding window has no natural start; firings of one group fold into one alert for
as long as hits of a rule do, or for the timespan where that is longer. Hence a replay amends
alerts instead of raising them anew, and an alert counts each event once.

**Watermark.** Events bring the watermark of their tenant's source in their partition along (see
`detectors.online.joins` and `detectors.correlation.held.clocks`).
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterable
from functools import partial
from hashlib import blake2b
from itertools import islice, takewhile
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from detectors.correlation.arriving import Call, Change, arrive, encoding
from detectors.correlation.fold import MAX_OPEN, WINDOW_MS, alert_id
from detectors.correlation.held.clocks import NOTHING, Clocks
from detectors.correlation.held.coming import Firing, Slice, tenant_of
from detectors.correlation.held.evidence import ROOM, Evidence, Seen
from detectors.correlation.held.groups import Groups
from detectors.correlation.held.marks import ID, derived_id, marked
from detectors.correlation.held.windows import MEMBERS, SHIFT
from detectors.correlation.plan import Plan, Tree
from detectors.correlation.report import ATTACHED, LISTED, Raised, alert
from detectors.correlation.rules import Correlation
from schemas.joins import SEPARATOR, Arrivals
from sentinel.errors import SchemaError

#: Groups kept of one partition (some 300 bytes each); the least recently touched go first.
MAX_GROUPS: Final = 200_000
#: Matches of lower correlations whose events are remembered.
MAX_DERIVED: Final = 20_000
#: Events of a match of a lower correlation that are.
DERIVED_EVENTS: Final = 20
VERSION: Final = 1


class Joined(NamedTuple):
    """Alerts, and counts by (tenant, source): ``joined``, ``late``, ``raised``."""

    alerts: list[dict[str, Any]]
    counts: dict[tuple[str, str], dict[str, int]]


class Joiner:
    """Correlations of one ``signals`` partition.

    Parameters
    ----------
    plan
        What runs.
    fold_ms
        For how long firings of a sliding window fold into one alert, at least.
    max_groups
        Groups kept; beyond them the least recently touched are forgotten, and counted.
    room
        Bytes of raw events kept for alerts to come.
    """

    def __init__(
        self,
        plan: Plan,
        fold_ms: int = WINDOW_MS,
        *,
        max_groups: int = MAX_GROUPS,
        max_open: int = MAX_OPEN,
        room: int = ROOM,
    ) -> None:
        self._fold_ms, self._max_groups, self._max_open = fold_ms, max_groups, max_open
        self._trees = plan.trees
        self._groups = {
            (root, node.correlation.id): Groups(node)
            for root, tree in plan.trees.items()
            for node in tree.nodes.values()
        }
        self._evidence = Evidence(room)
        self._open: OrderedDict[str, Raised] = OrderedDict()
        self._derived: OrderedDict[bytes, tuple[bytes, ...]] = OrderedDict()
        self._seen: dict[int, int] = {}
        self._clocks = Clocks()
        self._dropped = {"groups": 0, "open": 0, "unplanned": 0, "no_number": 0}

    @property
    def evictions(self) -> dict[str, int]:
        """What was dropped since the start, by what."""
        events = sum(groups.evictions for groups in self._groups.values())
        return {
            **{f"correlation_{name}": count for name, count in self._dropped.items()},
            "correlation_events": events,
            "correlation_evidence": self._evidence.evictions,
        }

    @property
    def live(self) -> int:
        """Groups kept now."""
        return sum(len(groups.entries) for groups in self._groups.values())

    def process(self, batches: Iterable[tuple[int, int, Arrivals]]) -> Joined:
        """Take contributions: events partition, its last offset covered, and the columns.

        What comes of offsets already seen (a replay) contributes only what is new.
        """
        call = Call()
        for partition, last, arrivals in batches:
            seen = self._seen.get(partition, -1)
            start = int(np.searchsorted(arrivals.origin, seen, side="right"))
            if start < len(arrivals.origin):
                self._evidence.add(arrivals, start)
                whose = self._clocks.note(partition, arrivals, start)
                for what, count in arrive(arrivals, start, whose, self._groups, call).items():
                    self._dropped[what] += count
            self._seen[partition] = max(seen, last)
        return self._finish(call, self._clocks.now)

    def waiting(self) -> bool:
        """Say whether windows wait for the watermark."""
        return any(
            time < self._reach(groups, key)
            for groups in self._groups.values()
            for key, times in groups.pending.items()
            for time in times
        )

    def flush(self) -> Joined:
        """Judge what no newer event will come for: the partition has gone quiet."""
        return self._finish(Call(), {}, quiet=True)

    def close(self) -> Joined:
        """Judge everything: no event will come any more, as at the end of a file."""
        return self._finish(Call(), dict.fromkeys(self._clocks.newest, 1 << 60))

    def _reach(self, groups: Groups, key: str) -> int:
        """Return up to what time windows of a group are over if nothing more comes."""
        newest = self._clocks.newest.get(tenant_of(key), NOTHING)
        if groups.correlation.window == "sliding":
            return newest + 1
        return newest - groups.correlation.gap_ms

    def _finish(self, call: Call, clocks: dict[str, int], *, quiet: bool = False) -> Joined:
        """Let events into their groups, tree by tree from below, and make the alerts."""
        kept = self._clocks.kept
        for root, tree in self._trees.items():
            for node in tree.nodes:
                groups = self._groups[root, node]
                if not groups.pending and not call.touches(groups):
                    continue  # most correlations, most of the time
                for runs in call.taken(groups):
                    for key, firings in groups.take(runs, kept, call.late):
                        self._fired(tree, groups, key, firings, call)
                self._ripe(tree, groups, clocks, call, quiet=quiet)
        self._bound()
        alerts = [self._alert(ident, each, call) for ident, each in call.changes.items()]
        return Joined(alerts, call.counts())

    def _ripe(
        self, tree: Tree, groups: Groups, clocks: dict[str, int], call: Call, *, quiet: bool
    ) -> None:
        """Judge the windows that are over."""
        for key in list(groups.pending):
            clock = clocks.get(tenant_of(key), NOTHING)
            if quiet:
                clock = self._reach(groups, key) + groups.node.slack_ms
            firings = groups.due(key, clock)
            self._fired(tree, groups, key, firings, call)
            if key in groups.entries and (firings or key not in groups.pending):
                groups.settle(key, self._clocks.kept.get(tenant_of(key), NOTHING))

    def _fired(
        self, tree: Tree, groups: Groups, key: str, firings: list[Firing], call: Call
    ) -> None:
        """Hand firings up to the correlations above, or note them in the alert of the root."""
        if not firings:
            return
        if groups.correlation is tree.root:
            self._note(tree, groups, key, firings, call)
            return
        for firing in firings:
            uid = derived_id(tree.root.id, groups.correlation.id, key, firing.time)
            entries, width = groups.entries[key], groups.width
            last = range(max(firing.start, firing.end - DERIVED_EVENTS), firing.end)
            ids = [ID.pack(*entries[at * width + 1 : at * width + 3]) for at in last]
            self._derived[uid] = tuple(
                dict.fromkeys(each for known in ids for each in self._derived.get(known, (known,)))
            )[:ATTACHED]
            self._raise_up(tree, groups, key, firing.time, uid, call)

    def _raise_up(
        self, tree: Tree, groups: Groups, key: str, time: int, uid: bytes, call: Call
    ) -> None:
        """Make a match of a correlation an event of those above it."""
        tenant, *values = key.split(SEPARATOR)
        for parent in groups.node.parents:
            upper = self._groups[tree.root.id, parent.node]
            above = SEPARATOR.join((tenant, *(values[at] for at in parent.group)))
            if not parent.group:
                above = f"{tenant}{SEPARATOR}"
            row: tuple[int, ...] = ((time << SHIFT) | (parent.member << 2), *ID.unpack(uid))
            encode = encoding(upper.correlation)
            if encode is not None:
                value = encode(SEPARATOR.join(values[at] for at in parent.values))
                if value is None:
                    self._dropped["no_number"] += 1
                    continue
                row = (*row, value)
            call.derive(upper, above, row)

    def _note(
        self, tree: Tree, groups: Groups, key: str, firings: list[Firing], call: Call
    ) -> None:
        """Hand the firings of a group to the alerts that they are about."""
        root = tree.root
        fold = max(self._fold_ms, root.timespan_ms)
        sliding = root.window == "sliding"
        starts: dict[int, list[Firing]] = {}
        for firing in firings:
            start = firing.time // fold * fold if sliding else firing.window
            starts.setdefault(start, []).append(firing)
        for start, theirs in starts.items():
            self._note_alert(tree, groups, key, start, theirs, call)

    def _note_alert(
        self, tree: Tree, groups: Groups, key: str, start: int, firings: list[Firing], call: Call
    ) -> None:
        """Mark the events of firings as part of their alert, and collect those that are new."""
        tenant, group = key.split(SEPARATOR, 1)
        since = start if tree.root.window == "sliding" else NOTHING
        ident = alert_id(tenant, tree.root.id, group, start)
        new = marked(groups.entries[key], groups.width, firings, since)
        window, more = min(firing.window for firing in firings), 0
        for each in groups.slices.get(key, ()):
            if each.newest >= window and not each.marked:
                each.marked, more = 1, more + each.count
        fired = max(firings, key=lambda firing: (firing.value, firing.time))
        change = call.changes.get(ident)
        if change is None:
            if not new and not more:
                return
            change = call.changes[ident] = Change(tree, key, fired)
        change.new += new
        change.more += more
        if (fired.value, fired.time) > (change.fired.value, change.fired.time):
            change.fired = fired

    def _alert(self, ident: str, change: Change, call: Call) -> dict[str, Any]:
        """Amend what is remembered of an alert; return its record."""
        tree, fired = change.tree, change.fired
        times = [stamp >> SHIFT for stamp, _ in change.new] or [fired.time]
        raised = self._open.pop(ident, None)
        if raised is None:
            members = [0] * len(tree.root.rules)
            raised = Raised(min(times), max(times), members, fired.value, fired.time, fired.window)
        self._open[ident] = raised
        raised.count += len(change.new) + change.more
        raised.first_seen = min(raised.first_seen, *times)
        raised.last_seen = max(raised.last_seen, *times)
        if (fired.value, fired.time) > (raised.value, raised.at):
            raised.value, raised.at, raised.since = fired.value, fired.time, fired.window
        new: list[Seen] = []
        for stamp, uid in change.new:
            member = (stamp >> 2) & MEMBERS
            raised.members[member] += 1
            if len(raised.listed) < LISTED:
                shown = b"" if uid in self._derived else uid
                raised.listed.append((stamp >> SHIFT, member, shown))
            if len(raised.attached) < ATTACHED:
                new += self._attach(raised, uid)
        tenant, *values = change.key.split(SEPARATOR)
        for seen in new:
            call.raised[tenant, seen.source] += 1
        named = values if tree.root.group_by else []
        return alert(ident, tree, tenant, named, raised, new)

    def _attach(self, raised: Raised, uid: bytes) -> list[Seen]:
        """Return the events behind an id that the alert does not have yet."""
        found = []
        for each in self._derived.get(uid, (uid,)):
            seen = self._evidence.get(each)
            if seen is not None and each not in raised.attached:
                raised.attached.append(each)
                found.append(seen)
        return found

    def _bound(self) -> None:
        """Forget what is over, and the least recent beyond the bounds."""
        kept = self._clocks.kept
        for groups in self._groups.values():
            over = list(takewhile(partial(_over, groups, kept), groups.entries)) if kept else ()
            for key in over:
                groups.drop(key)
        while (excess := self.live - self._max_groups) > 0:
            sizes = sorted(len(groups.entries) for groups in self._groups.values())
            most = max(self._groups.values(), key=lambda groups: len(groups.entries))
            second = sizes[-2] if len(sizes) > 1 else 0
            share = min(excess, max(1, sizes[-1] - second))
            for key in list(islice(most.entries, share)):  # at once: the way there is long
                most.drop(key)
            self._dropped["groups"] += share
        while len(self._open) > self._max_open:
            self._open.popitem(last=False)
            self._dropped["open"] += 1
        while len(self._derived) > MAX_DERIVED:
            self._derived.popitem(last=False)

    def snapshot(self) -> bytes:
        """Return the whole state, for `restore`."""
        groups = [
            (*ids, _fingerprint(each.correlation), each.evictions,
             [(key, entries.tobytes()) for key, entries in each.entries.items()],
             each.slices, {key: sorted(times) for key, times in each.pending.items()},
             each.done)
            for ids, each in self._groups.items()
        ]  # fmt: skip
        state = (
            VERSION,
            list(self._seen.items()),
            self._clocks.state(),
            groups,
            list(self._open.items()),
            list(self._derived.items()),
            self._evidence.state(),
            self._dropped,
        )
        return msgspec.msgpack.encode(state)

    def restore(self, state: bytes) -> None:
        """Take up what `snapshot` returned; windows of correlations that read otherwise start anew.

        Raises
        ------
        SchemaError
            Of another version, or broken.
        """
        try:
            found = msgspec.msgpack.decode(state, type=_STATE)
        except msgspec.DecodeError as error:
            raise SchemaError(f"expected a snapshot of correlations, found: {error}") from error
        version, seen, clocks, groups, opened, derived, kept, dropped = found
        if version != VERSION:
            raise SchemaError(f"expected correlations version {VERSION}, found {version}")
        self._seen = dict(seen)
        self._clocks.load(clocks)
        self._dropped |= dropped
        for root, node, fingerprint, evictions, items, slices, pending, done in groups:
            mine = self._groups.get((root, node))
            if mine is None or _fingerprint(mine.correlation) != fingerprint:
                self._dropped["groups"] += len(items)
                continue
            mine.evictions = evictions
            mine.entries = {key: array("q", content) for key, content in items}
            mine.slices, mine.pending, mine.done = slices, pending, done
        self._open = OrderedDict(opened)
        self._derived = OrderedDict(derived)
        self._evidence.load(kept)


_STATE = tuple[
    int,
    list[tuple[int, int]],
    list[Any],
    list[
        tuple[
            str, str, str, int, list[tuple[str, bytes]],
            dict[str, list[Slice]], dict[str, set[int]], dict[str, int],
        ]
    ],
    list[tuple[str, Raised]],
    list[tuple[bytes, tuple[bytes, ...]]],
    list[Any],
    dict[str, int],
]  # fmt: skip


def _over(groups: Groups, kept: dict[str, int], key: str) -> bool:
    """Say whether a group has nothing that could still count."""
    clock = kept.get(tenant_of(key), NOTHING)
    return key not in groups.pending and groups.newest(key) < clock - groups.kept_ms


def _fingerprint(correlation: Correlation) -> str:
    """Return what changes with anything that makes earlier windows unfit to go on with."""
    parts = (
        correlation.kind, correlation.rules, correlation.group_by, correlation.fields,
        correlation.aliases, correlation.window,
    )  # fmt: skip
    return blake2b(msgspec.msgpack.encode(parts), digest_size=8).hexdigest()
