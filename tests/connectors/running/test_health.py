"""Silence and another schema are noticed, days that are like others are not."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import psycopg
import pytest

from connectors._running import watch as watching
from connectors._running.rates import Change, Rates
from connectors._running.shape import LEARNT, Shape
from connectors._running.watch import Watch
from connectors.github import GitHub
from sentinel.kafka import Producer, create_topics
from sentinel.settings import Settings

DAY_S, STEP_S = 86_400, 300
KEY = ("acme", "cloudtrail")
MONDAY = 1_772_409_600.0  # 2026-03-02T00:00:00Z


class Weeks:
    """Counts of a source with nights and weekends, a step at a time."""

    def __init__(self, peak: float = 600.0) -> None:
        self.rates, self.total, self.now = Rates(), 0, MONDAY
        self.random, self.peak = random.Random(7), peak
        self.changes: list[tuple[float, Change]] = []

    def usual(self) -> float:
        """Events expected in a step."""
        hour = self.now % DAY_S / 3600
        day = int((self.now - MONDAY) // DAY_S) % 7
        wave = max(0.02, math.sin(math.pi * (hour - 6) / 14)) if 6 < hour < 20 else 0.02
        return self.peak * wave * (0.15 if day >= 5 else 1) * STEP_S / 3600

    def run(self, hours: float, part: float = 1.0) -> list[Change]:
        found: list[Change] = []
        for _ in range(int(hours * 3600 / STEP_S)):
            self.now += STEP_S
            mean = part * self.usual() * self.random.uniform(0.6, 1.4)
            self.total += max(0, round(self.random.gauss(mean, math.sqrt(mean + 1e-9))))
            new = self.rates.add(self.now, {KEY: self.total})
            self.changes += [(self.now, change) for change in new]
            found += new
        return found


def test_nights_and_weekends_are_no_silence() -> None:
    weeks = Weeks()
    assert weeks.run(24 * 28) == []


def test_silence_is_told_once_and_so_is_its_end() -> None:
    weeks = Weeks()
    weeks.run(24 * 15 + 12)  # Tuesday noon
    begin = weeks.now
    (silent,) = weeks.run(3, part=0)
    assert (silent.kind, silent.tenant, silent.source) == ("silence", *KEY)
    assert silent.found < 0.1 * silent.expected
    assert weeks.changes[0][0] - begin < 3600
    (resumed,) = weeks.run(3)
    assert resumed.kind == "resumed"


def test_nothing_is_said_before_days_are_known() -> None:
    weeks = Weeks()
    weeks.run(24 * 5 + 12)
    assert weeks.run(3, part=0) == []


def test_what_was_learnt_survives_a_restart_and_a_pause_is_no_silence() -> None:
    weeks = Weeks()
    weeks.run(24 * 15 + 10)
    state = json.loads(json.dumps(weeks.rates.snapshot()))
    assert len(json.dumps(state)) < 12_000
    weeks.rates = Rates()
    weeks.rates.restore(state)
    weeks.now += 5 * 3600  # nobody watched
    assert weeks.run(0.4, part=0) == []  # too early to tell
    assert [change.kind for change in weeks.run(3, part=0)] == ["silence"]


def test_counts_that_begin_anew_are_no_silence() -> None:
    weeks = Weeks()
    weeks.run(24 * 15 + 12)
    weeks.total = 0
    assert weeks.run(2) == []


# --- schema


def event(**more: Any) -> dict[str, Any]:
    return {"id": "1", "eventVersion": "1.09", "user": {"name": "ada"}, "n": 1, **more}


def learnt(**more: Any) -> Shape:
    shape = Shape()
    for _ in range(10):
        assert shape.add([event(**more)] * 100) == {}
    return shape


def told(shape: Shape, sample: list[dict[str, Any]]) -> list[dict[str, list[str]]]:
    return [shape.add(sample) for _ in range(3)]


def test_new_gone_and_retyped_fields_are_told_once() -> None:
    assert told(learnt(), [event(extra=1)] * 100) == [{}, {"new": ["extra"]}, {}]
    fewer = {name: value for name, value in event().items() if name != "user"}
    assert told(learnt(), [fewer] * 100) == [{}, {"gone": ["user.name"]}, {}]
    retyped = told(learnt(), [event(n="1")] * 100)
    assert retyped == [{}, {"retyped": ["n: number, now text"]}, {}]


def test_a_new_version_is_told_at_once_and_once() -> None:
    found = told(learnt(), [event(eventVersion="1.10")] * 100)
    assert found == [{"version": ["eventVersion: 1.10"]}, {}, {}]


def test_rare_fields_bursts_and_small_samples_are_no_change() -> None:
    shape = learnt()
    assert told(shape, [event(rare=1)] * 10 + [event()] * 90) == [{}, {}, {}]
    burst = [{"id": "2", "eventVersion": "1.09", "n": 2}] * 100
    assert shape.add(burst) == {}
    assert shape.add([event()] * 100) == {}
    assert shape.add([{"other": 1}] * 10) == {}


def test_a_shape_survives_a_restart() -> None:
    again = Shape()
    again.restore(json.loads(json.dumps(learnt().snapshot())))
    assert told(again, [event(extra=1)] * 100)[1] == {"new": ["extra"]}


# --- the watch on a broker


@pytest.mark.e2e
def test_the_watch_tells_of_another_shape(
    stack_settings: Settings, arrived: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_topics(stack_settings, ["github", "health"])
    monkeypatch.setattr(watching, "MESSAGES", 1000)
    watch = Watch(stack_settings.model_copy(update={"postgres": ""}), {"github": GitHub})

    def looked(**more: Any) -> None:
        """Send some; a quarter is acme's, and only theirs change: too few to show in all."""
        with Producer(stack_settings) as producer:
            for number in range(200):  # keys spread them over all partitions
                acme = number % 4 == 0
                value = json.dumps({"action": "x", "n": 1, **(more if acme else {})}).encode()
                headers = {"tenant": "acme"} if acme else {}
                producer.send("raw.github", value, key=str(number).encode(), headers=headers)
        watch._round = 0
        watch.look()

    while watch._shapes.get(("acme", "github"), Shape())._events < LEARNT:
        looked()
    for _ in range(2):
        looked(surprise=1)
    said = list(arrived("raw.health", lambda m: b'"github"' in m.value()))
    (drift,) = said
    told = json.loads(drift.value())
    assert told["kind"] == "drift"
    assert told["message"] == "fields of github changed: new: surprise"
    assert dict(drift.headers()) == {"tenant": b"acme"}, "the change is acme's alone"

    again = Watch(stack_settings, {"github": GitHub})
    again._restore(json.loads(json.dumps(watch._snapshot())))
    assert again._snapshot() == watch._snapshot()


@pytest.mark.e2e
def test_the_watch_reads_the_ledger(stack_settings: Settings, postgres: str) -> None:
    settings = stack_settings.model_copy(update={"postgres": postgres})
    row = {"stage": "normalize", "tenant": "acme", "source": "okta", "in": 7, "out": 7}
    with psycopg.connect(postgres) as connection:
        connection.execute(
            "INSERT INTO checkpoints (stage, topic, partition, owner, ledger) "
            "VALUES ('normalize', 'raw.test', 0, gen_random_uuid(), %s) "
            "ON CONFLICT (stage, topic, partition) DO NOTHING",
            [json.dumps([row])],
        )
    try:
        assert Watch(settings, {})._counts()["acme", "okta"] == 7
    finally:
        with psycopg.connect(postgres) as connection:
            connection.execute("DELETE FROM checkpoints WHERE topic = 'raw.test'")
