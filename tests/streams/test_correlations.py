"""Correlations through normalize, detect and correlate: crashes and replays change no alert."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import connectors
from connectors.base import Connector
from detectors.detect import Detector
from detectors.sigma import RuleSet
from schemas import avro
from sentinel.ledger import add_up
from sentinel.registry import discover
from sentinel.settings import Settings
from streams.correlate import CorrelateStage
from streams.detect import DetectStage, DetectTask
from streams.normalize import NormalizeStage

PARTITIONS = 2
SETTINGS = Settings(model_threshold=1.0, risk_threshold=0)
AWS = {"product": "aws", "service": "cloudtrail"}
RULES: list[dict[str, Any]] = [
    {"title": "Failed", "name": "failed", "logsource": AWS,
     "detection": {"s": {"eventName": "ConsoleLogin", "errorCode": "Failed"}, "condition": "s"}},
    {"title": "In", "name": "signed_in", "logsource": AWS,
     "detection": {"s": {"eventName": "ConsoleLogin", "errorCode": "ok"}, "condition": "s"}},
    {"title": "Many", "name": "many",
     "correlation": {"type": "event_count", "rules": ["failed"], "timespan": "5m",
                     "group-by": ["userIdentity.userName"], "condition": {"gte": 3}}},
    {"title": "Guessed", "level": "high", "tags": ["attack.t1110"],
     "correlation": {"type": "temporal_ordered", "rules": ["many", "signed_in"],
                     "group-by": ["userIdentity.userName"], "timespan": "10m"}},
    {"title": "Spray", "level": "medium",
     "correlation": {"type": "value_count", "rules": ["failed"], "timespan": "10m",
                     "group-by": ["sourceIPAddress"],
                     "condition": {"field": "userIdentity.userName", "gte": 3}}},
]  # fmt: skip


def event(place: int, user: str, address: str, code: str) -> bytes:
    """One sign-in, 20 seconds after the one before."""
    minute, second = divmod(20 * place, 60)
    return orjson.dumps(
        {
            "eventVersion": "1.09",
            "userIdentity": {"type": "IAMUser", "userName": user, "accountId": "123456789012",
                             "arn": f"arn:aws:iam::123456789012:user/{user}"},
            "eventTime": f"2026-03-02T09:{minute:02}:{second:02}Z",
            "eventSource": "signin.amazonaws.com",
            "eventName": "ConsoleLogin",
            "awsRegion": "eu-central-1",
            "sourceIPAddress": address,
            "errorCode": code,
            "eventID": f"00000000-0000-4000-8000-{place:012}",
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def rules(tmp_path_factory) -> RuleSet:
    file = tmp_path_factory.mktemp("rules") / "guessed.yml"
    file.write_text(yaml.safe_dump_all(RULES))
    found = RuleSet.load([file])
    assert found.unsupported == ()
    return found


@pytest.fixture(scope="module")
def stages(rules) -> tuple[NormalizeStage, DetectStage, CorrelateStage]:
    found = {"cloudtrail": discover(connectors, Connector)["cloudtrail"]}  # type: ignore[type-abstract]
    return (
        NormalizeStage(SETTINGS, found, rules, PARTITIONS),
        NoModels(SETTINGS, PARTITIONS),
        CorrelateStage(SETTINGS, PARTITIONS, PARTITIONS, plan=rules.plan),
    )


class NoModels(DetectStage):
    """Detect without models, which take their time and are tested elsewhere."""

    def task(self, topic: str, partition: int) -> DetectTask:
        return DetectTask(Detector([], 1.0), PARTITIONS)


class Place:
    """A partition of a stage: its log, its task, and a worker that may die."""

    def __init__(self, stage: Any, topic: str, partition: int, records: Any) -> None:
        self._stage, self._where, self._records = stage, (topic, partition), records
        self.log: list[bytes] = []
        self._saved: tuple[int, bytes, Any] | None = None
        self._start()

    def _start(self) -> None:
        self.task, self._next = self._stage.task(*self._where), 0
        if self._saved is not None:
            self._next, state, ledger = self._saved
            if state:
                self.task.restore(state)
            self.task.ledger.load(ledger)

    def save(self) -> None:
        self._saved = (self._next, self.task.snapshot(), self.task.ledger.dump())

    def die(self) -> None:
        self._start()

    def work(self, size: int) -> list[Any]:
        """Handle what lies in the log, in polls of `size`; return what comes of it."""
        made: list[Any] = []
        while self._next < len(self.log):
            part = self.log[self._next : self._next + size]
            batch = self._records(part, *self._where, self._next)
            made += self.task.process(batch).records
            self._next += len(part)
        return made


class Pipeline:
    """Three stages, two partitions behind the first."""

    def __init__(self, stages: Any, records: Any) -> None:
        normalize, detect, correlate = stages
        self.raw = Place(normalize, "raw.cloudtrail", 0, records)
        self.events = [Place(detect, "events", at, records) for at in range(PARTITIONS)]
        self.signals = [Place(correlate, "signals", at, records) for at in range(PARTITIONS)]
        self.alerts: dict[str, dict[str, Any]] = {}
        self.evidence: dict[str, set[bytes]] = {}

    @property
    def places(self) -> list[Place]:
        return [self.raw, *self.events, *self.signals]

    def work(self, size: int) -> None:
        """Let every stage catch up."""
        for record in self.raw.work(size):
            self.events[record.partition or 0].log.append(record.value)
        for place in self.events:
            for record in place.work(size):
                self.signals[record.partition or 0].log.append(record.value)
        for place in self.signals:
            for record in place.work(size):
                self._take(avro.decode("alert", record.value))

    def _take(self, alert: dict[str, Any]) -> None:
        known = self.alerts.get(alert["id"])
        if known is None or known["count"] <= alert["count"]:
            self.alerts[alert["id"]] = alert
        evidence = self.evidence.setdefault(alert["id"], set())
        evidence.update(event["uid"] for event in alert["events"])

    def result(self) -> dict[str, Any]:
        """Return what a store ends up with."""
        return {
            ident: (alert["title"], alert["count"], alert["first_seen"], alert["last_seen"],
                    self.evidence[ident])
            for ident, alert in self.alerts.items()
        }  # fmt: skip


events = st.lists(
    st.tuples(
        st.sampled_from(["ada", "bob", "cyd", "dan"]),
        st.sampled_from(["198.51.100.7", "203.0.113.9"]),
        st.sampled_from(["Failed", "Failed", "Failed", "ok", "other"]),
    ),
    min_size=12,
    max_size=30,
)
faults = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(["save", "die", "die"]), st.integers(1, 20)),
    min_size=2,
    max_size=6,
)


@hypothesis_settings(deadline=None, max_examples=6)
@given(events, faults, st.integers(1, 9))
def test_kills_and_replays_neither_lose_nor_double_an_alert(stages, records, found, faults, size):
    """Each worker dies and goes on from its last checkpoint, having sent more than it saved."""
    raws = [event(place, *each) for place, each in enumerate(found)]
    plain = Pipeline(stages, records)
    plain.raw.log += raws
    plain.work(1000)
    broken = Pipeline(stages, records)
    fed = 0
    for place, what, more in faults:
        broken.raw.log += raws[fed : fed + more]
        fed = min(len(raws), fed + more)
        broken.work(size)
        chosen = broken.places[place]
        {"save": chosen.save, "die": chosen.die}[what]()
        broken.work(1 + size // 2)
    broken.raw.log += raws[fed:]
    broken.work(size)
    assert broken.result() == plain.result()
    for pipeline in (plain, broken):
        rows = [place.task.ledger.dump() for place in pipeline.places]
        counts: dict[str, int] = {}
        for row in (each for ledger in rows for each in ledger):
            for name in ("contributed", "joined", "late"):
                counts[name] = counts.get(name, 0) + int(row.get(name, 0))
        assert counts["contributed"] == counts["joined"] + counts["late"]
        assert add_up(rows, frozenset({"persist", "persist_alerts"})).balance == 0


def test_a_story_raises_one_alert_with_its_events(stages, records):
    """Three failures and a success; the rules that it names stay silent."""
    story = [("ada", "198.51.100.7", code) for code in ("Failed", "Failed", "Failed", "ok")]
    pipeline = Pipeline(stages, records)
    pipeline.raw.log += [event(place, *each) for place, each in enumerate(story)]
    pipeline.work(100)
    (alert,) = pipeline.alerts.values()
    told = orjson.loads(alert["explanation"])
    assert (alert["title"], alert["kind"], alert["severity_id"]) == ("Guessed", "correlation", 4)
    assert alert["entity"].endswith("user/ada")
    assert [event["source"] for event in alert["events"]] == ["cloudtrail"] * 4
    assert all(event["raw"].startswith(b"{") for event in alert["events"])
    assert told["kind"] == "correlation"
    assert [part["selection"] for part in told["matched"]] == ["Many", "In"]
    assert told["quiet"].startswith("fewer than 2 of the rules")
    assert told["baseline"]["group"] == {"userIdentity.userName": "ada"}
    assert "2 of its 2 rules matched, in their order, within 10m" in told["what"]
