"""The engine against a reference that looks at all events at once: quadratic, plainly right."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, note
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from detectors.correlation.fold import alert_id
from detectors.correlation.joins import Joiner

MINUTE = 60_000
FOLD = 10 * MINUTE
RELAXED = hypothesis_settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow]
)

Hit = tuple[str, tuple[str, ...], int, str, str]

hits = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from(["u1", "u2"]),
        st.integers(-4, 36),
        st.sampled_from(["1", "2", "2", "7.5", "-3"]),
    ),
    max_size=24,
)
operators = st.sampled_from(["gt", "gte", "lt", "lte", "eq", "neq"])
kinds = st.sampled_from(["temporal", "temporal_ordered"])
cuts = st.lists(st.integers(1, 7), min_size=1, max_size=6)


@st.composite
def correlations(draw: Any) -> dict[str, Any]:
    """Draw any correlation over the rules a and b, or all three."""
    rules = draw(st.sampled_from([["a"], ["a", "b"], ["b", "a"], ["a", "b", "c"]]))
    kind = draw(
        st.sampled_from(
            ["event_count", "value_count", "value_sum", "value_avg", "value_median",
             "value_percentile", "temporal", "temporal_ordered"]
        )
    )  # fmt: skip
    body: dict[str, Any] = {
        "type": kind,
        "rules": rules,
        "timespan": draw(st.sampled_from(["2m", "5m"])),
    }
    body["group-by"] = ["user"]
    body["lateness"] = "1d"
    if kind == "temporal" and draw(st.booleans()):
        *others, last = rules
        joins = [" and ".join(rules), " or ".join(rules)]
        if others:
            joins.append(f"{' and '.join(others)} and not {last}")
        body["condition"] = draw(st.sampled_from(joins))
    elif not kind.startswith("temporal") or draw(st.booleans()):
        condition: dict[str, Any] = {draw(operators): draw(st.integers(1, 5))}
        if kind.startswith("value"):
            condition["field"] = "size"
        if kind == "value_percentile":
            condition["percentile"] = draw(st.sampled_from([0, 30, 90, 100]))
        body["condition"] = condition
    window = draw(st.sampled_from(["sliding", "sliding", "tumbling", "session"]))
    body["window"] = window
    if window == "session":
        body["gap"] = draw(st.sampled_from(["1m", "3m"]))
    return {"name": "root", "correlation": body}


def named(found: list[tuple[str, str, int, str]]) -> list[Hit]:
    """Give each event its name, and times in milliseconds."""
    return [
        (rule, (user,), minute * MINUTE // 2, value, f"event {place}")
        for place, (rule, user, minute, value) in enumerate(found)
    ]


def value_of(body: dict[str, Any], window: list[Hit]) -> float:
    """Return what the condition is about."""
    kind = body["type"]
    numbers = [float(hit[3]) for hit in window]
    if kind == "event_count":
        return len(window)
    if kind == "value_count":
        return len({hit[3] for hit in window})
    if kind == "value_sum":
        return sum(numbers)
    if kind == "value_avg":
        return sum(numbers) / len(numbers)
    if kind in ("value_median", "value_percentile"):
        return float(np.percentile(numbers, body.get("condition", {}).get("percentile", 50)))
    if kind == "temporal":
        return len({hit[0] for hit in window})
    order = {name: place for place, name in enumerate(body["rules"])}
    best = 0
    longest: list[int] = []
    ranked = sorted((hit[2], order[hit[0]]) for hit in window)
    for place, (_, member) in enumerate(ranked):
        longest.append(
            1 + max((longest[at] for at in range(place) if ranked[at][1] < member), default=0)
        )
        best = max(best, longest[-1])
    return best


def holds(body: dict[str, Any], window: list[Hit]) -> bool:
    """Say whether the condition holds for a window of events."""
    condition = body.get("condition")
    if isinstance(condition, str):
        present = {name: any(hit[0] == name for hit in window) for name in body["rules"]}
        return bool(eval(condition, {}, present))
    value = value_of(body, window)
    stated = {k: v for k, v in (condition or {}).items() if k not in ("field", "percentile")}
    compare = {
        "gt": value > 0, "gte": value >= 0, "lt": value < 0, "lte": value <= 0,
    }  # fmt: skip
    for name, number in (stated or {"gte": len(body["rules"])}).items():
        compare = {
            "gt": value > number, "gte": value >= number, "lt": value < number,
            "lte": value <= number, "eq": value == number, "neq": value != number,
        }  # fmt: skip
        if not compare[name]:
            return False
    return True


def firings(body: dict[str, Any], found: list[Hit]) -> list[tuple[int, int, list[Hit]]]:
    """Return for one group when it fires, where its alert begins, and which events it is about."""
    span = int(body["timespan"][:-1]) * MINUTE
    times = sorted({hit[2] for hit in found})
    kind = body.get("window", "sliding")
    made = []
    if kind == "session":
        gap = int(body["gap"][:-1]) * MINUTE
        sessions: list[list[int]] = []
        for time in times:
            if not sessions or time - sessions[-1][-1] > gap or time - sessions[-1][0] > span:
                sessions.append([])
            sessions[-1].append(time)
        for session in sessions:
            window = [hit for hit in found if session[0] <= hit[2] <= session[-1]]
            if holds(body, window):
                made.append((session[-1], session[0], window))
        return made
    for time in times:
        if kind == "tumbling":
            start = time // span * span
            end = time if grows(body) else start + span - 1
            window = [hit for hit in found if start <= hit[2] <= end]
        else:
            start = time // max(FOLD, span) * max(FOLD, span)
            window = [hit for hit in found if time - span <= hit[2] <= time]
        if holds(body, window):
            made.append((time, start, window))
    return made


def grows(body: dict[str, Any]) -> bool:
    """Say whether more events can only make the condition hold."""
    condition = body.get("condition")
    if isinstance(condition, str):
        return "not" not in condition
    counted = ("event_count", "value_count", "temporal", "temporal_ordered")
    return body["type"] in counted and not {"lt", "lte", "eq", "neq"} & set(condition or ())


def reference(document: dict[str, Any], found: list[Hit], uid_of: Any) -> dict[str, Any]:
    """Return what a reader of alerts ends up with, by definition."""
    body = document["correlation"]
    groups: dict[tuple[str, ...], list[Hit]] = defaultdict(list)
    for hit in {hit[4]: hit for hit in found if hit[0] in body["rules"]}.values():
        groups[hit[1]].append(hit)
    about: dict[str, set[Hit]] = defaultdict(set)
    for group, members in groups.items():
        for _, start, window in firings(body, members):
            about[alert_id("acme", "root", group[0], start)] |= set(window)
    return {
        ident: (
            len(window), min(hit[2] for hit in window), max(hit[2] for hit in window),
            {uid_of(hit[4]) for hit in window},
        )
        for ident, window in about.items()
    }  # fmt: skip


def feed(joiner: Joiner, reader: Any, plan: Any, arrivals: Any, found: list[Hit], sizes: list[int],
         marks: list[int] | None = None, first: int = 0) -> None:  # fmt: skip
    """Hand events over in records of some sizes, several records a call."""
    records, at = [], 0
    while at < len(found):
        size = sizes[len(records) % len(sizes)]
        part = found[at : at + size]
        told = None if marks is None else marks[at : at + size]
        last = first + at + len(part) - 1
        records.append((0, last, arrivals(plan, part, first + at, told)))
        at += size
    while records:
        size = sizes[len(records) % len(sizes)]
        reader.take(joiner.process(records[:size]))
        records = records[size:]


@RELAXED
@given(correlations(), hits, st.randoms(), cuts, cuts)
def test_in_any_order_cut_in_any_way_alerts_are_those_by_definition(
    plans, arrivals, reader, uid_of, document, found, random, sizes, others
):
    """Shuffled, with duplicates, restarted halfway, and some of it replayed."""
    plan, events = plans(document), named(found)
    shuffled = events + [hit for hit in events if random.random() < 0.3]
    random.shuffle(shuffled)
    half = random.randrange(len(shuffled) + 1)
    joiner, taken = Joiner(plan, FOLD), reader()
    feed(joiner, taken, plan, arrivals, shuffled[:half], sizes)
    second = Joiner(plan, FOLD)
    second.restore(joiner.snapshot())
    assert second.snapshot() == joiner.snapshot()
    back = random.randrange(half + 1)
    feed(second, taken, plan, arrivals, shuffled[back:], others, first=back)
    taken.take(second.close())
    expected = reference(document, events, uid_of)
    note(str(document))
    assert taken.result() == expected
    assert taken.counts.get("late", 0) == 0
    assert taken.counts.get("raised", 0) == sum(len(row[-1]) for row in expected.values())


@RELAXED
@given(correlations(), hits, st.randoms(), cuts)
def test_events_that_are_not_too_late_miss_nothing(
    plans, arrivals, reader, uid_of, document, found, random, sizes
):
    """Times are off by less than the lateness, and windows are judged as the watermark goes on."""
    document["correlation"]["lateness"] = "3m"
    plan, events = plans(document), sorted(named(found), key=lambda hit: hit[2])
    events.sort(key=lambda hit: hit[2] + random.randrange(3 * MINUTE))
    marks, newest = [], -(1 << 62)
    for hit in events:
        marks.append(newest)
        newest = max(newest, hit[2])
    joiner, taken = Joiner(plan, FOLD), reader()
    feed(joiner, taken, plan, arrivals, events, sizes, marks)
    taken.take(joiner.close())
    assert taken.result() == reference(document, events, uid_of)
    assert taken.counts.get("late", 0) == 0


@RELAXED
@given(hits, st.randoms(), cuts, st.integers(2, 4), kinds)
def test_a_chain_sees_each_match_below_it_as_an_event(
    plans, arrivals, reader, uid_of, found, random, sizes, least, kind
):
    """At least so many a, then b: what counts a is grouped by the same user."""
    inner = {"type": "event_count", "rules": ["a"], "group-by": ["user"], "timespan": "2m",
             "condition": {"gte": least}, "lateness": "1d"}  # fmt: skip
    outer = {"type": kind, "rules": ["many", "b"], "group-by": ["user"], "timespan": "5m",
             "lateness": "1d"}  # fmt: skip
    plan = plans({"name": "many", "correlation": inner}, {"name": "root", "correlation": outer})
    events = named(found)
    below: list[Hit] = []
    behind: dict[str, list[Hit]] = {}
    for user in ("u1", "u2"):
        mine = [hit for hit in events if hit[0] == "a" and hit[1] == (user,)]
        for time, _, window in firings(inner, mine):
            name = f"match {user} {time}"
            below.append(("many", (user,), time, "0", name))
            behind[name] = window
    upper = [*below, *(hit for hit in events if hit[0] == "b")]
    expected = reference({"correlation": outer}, upper, lambda name: name)
    shuffled = list(events)
    random.shuffle(shuffled)
    joiner, taken = Joiner(plan, FOLD), reader()
    feed(joiner, taken, plan, arrivals, shuffled, sizes)
    taken.take(joiner.close())
    result = taken.result()
    assert result.keys() == expected.keys()
    for ident, (*numbers, names) in expected.items():
        assert list(result[ident][:3]) == numbers
        evidence = {
            uid_of(hit[4]) for name in names for hit in behind.get(name, [("", (), 0, "", name)])
        }
        assert result[ident][3] == evidence
