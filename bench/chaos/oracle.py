"""What must come out: the same pure functions, one process, one record after the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import connectors
from bench.chaos.load import PARTITIONS, START, Message
from connectors.base import Connector
from schemas import avro
from schemas.batch import EventBatch
from schemas.identity import uid_text
from sentinel.registry import discover
from sentinel.settings import Settings
from streams.correlate import CorrelateStage
from streams.detect import DetectStage
from streams.normalize import NormalizeStage
from streams.policy.rule_sets import load_rules
from streams.runtime.stage import Outgoing, Task
from streams.transport import RecordBatch
from streams.transport.offsets import Lease

#: Tenant and event id.
Event = tuple[str, str]
#: Alert id, kind and rule id, event id.
Evidence = tuple[str, str, str, str]
#: After every event, however long the load goes on: risk never takes a time later than this.
ARRIVED = (START + 10 * 365 * 86_400) * 1000


@dataclass
class Outcome:
    """What is, or ought to be, in the stores.

    `letters` are origins: topic, partition, offset, unit. `alerts` maps id to count.
    """

    events: list[Event] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    alerts: dict[str, int] = field(default_factory=dict)
    letters: list[tuple[str, int, int, int]] = field(default_factory=list)


class Oracle:
    """A plain run of normalize, detect and correlate; keeps its state from round to round."""

    def __init__(self, settings: Settings) -> None:
        found = discover(connectors, Connector)  # type: ignore[type-abstract]
        rules = load_rules(settings)
        self._normalize = NormalizeStage(settings, found, rules, PARTITIONS)
        self._detect = DetectStage(settings, PARTITIONS)
        self._correlate = CorrelateStage(settings, PARTITIONS, PARTITIONS, plan=rules.plan)
        self._tasks: dict[tuple[str, int], Task] = {}
        self._offsets: dict[tuple[str, int], int] = defaultdict(int)
        self._seen: set[Event] = set()
        self.outcome = Outcome()

    def feed(self, messages: Sequence[Message], mute: str = "") -> Outcome:
        """Run `messages` through and return all that must have come out since the start.

        Parameters
        ----------
        mute
            A rule that raises on every event, so that nothing comes of it.
        """
        records = [Outgoing(m.topic, m.value, m.partition, None, {"tenant": m.tenant})
                   for m in messages]  # fmt: skip
        events = self._run(self._normalize, records)
        for letter in (record for record in events if record.topic == "dead_letter"):
            said = cast(dict[str, str], letter.headers)
            numbers = [int(said[name]) for name in ("partition", "offset", "index")]
            self.outcome.letters.append((said["topic"], numbers[0], numbers[1], numbers[2]))
        events = [record for record in events if record.topic == "events"]
        for record in events:
            self._store(EventBatch.decode(record.value))
        signals = [_without(mute, record) for record in self._run(self._detect, events)]
        for record in self._run(self._correlate, signals):
            self._alert(avro.decode("alert", record.value))
        return self.outcome

    def _run(self, stage: Any, records: Sequence[Outgoing]) -> list[Outgoing]:
        """Hand records to the tasks of a stage, one a batch, as if they came from Kafka."""
        made: list[Outgoing] = []
        for record in records:
            place = (record.topic, cast(int, record.partition))
            task = self._tasks.get(place)
            if task is None:
                task = self._tasks[place] = stage.task(*place)
            offset = self._offsets[place]
            self._offsets[place] += 1
            headers = [(name, text.encode()) for name, text in (record.headers or {}).items()]
            batch = RecordBatch(
                Lease(place), [offset], [None], [record.value], [ARRIVED], [headers]
            )
            made += task.process(batch).records
        return made

    def _store(self, batch: EventBatch) -> None:
        for row in range(len(batch)):
            event = (batch.tenant.at(row), uid_text(batch.uid_of(row)))
            if event not in self._seen:
                self._seen.add(event)
                self.outcome.events.append(event)

    def _alert(self, alert: dict[str, Any]) -> None:
        self.outcome.alerts[alert["id"]] = alert["count"]
        self.outcome.evidence += [
            (alert["id"], alert["kind"], alert["rule_id"], uid_text(event["uid"]))
            for event in alert["events"]
        ]


def _without(rule: str, record: Outgoing) -> Outgoing:
    """Return a record of signals without those of `rule`."""
    if not rule:
        return record
    batch = avro.decode("signal_batch", record.value)
    batch["signals"] = [signal for signal in batch["signals"] if signal["rule_id"] != rule]
    return record._replace(value=avro.encode("signal_batch", batch))
