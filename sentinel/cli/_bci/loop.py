"""Closed loop over Kafka: spikes and neural events in, commands to stimulators out.

Two hops and the window of `neural.spikes` (20 ms) lie between a spike and its stimulus; a loop
that must be faster calls `bci.stimulator.closed_loop` in the process that has the samples.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
from confluent_kafka import OFFSET_END, Consumer, Message, TopicPartition

from bci.stimulator.calls import NAMES
from bci.stimulator.closed_loop import SPIKES, LoopRule, State, respond
from schemas import avro
from sentinel import topics
from sentinel.errors import KafkaError, SchemaError, SettingsError
from sentinel.kafka import Producer, client_config
from sentinel.settings import Settings

DEFAULT_TENANT: Final = "default"
POLL_S, LINGER_MS = 0.2, 0.0
#: Sessions and rules whose state is kept, and latencies.
MOST_STATES, MOST_LATENCIES = 4096, 4096
KNOWN: Final = {each.name: each.type for each in fields(LoopRule)}


@dataclass(slots=True)
class Loop:
    """What a loop does, and has done.

    Attributes
    ----------
    rules, setup
        Of the file; `setup` are calls that are made first.
    state
        Of `respond`.
    commands
        How many were sent.
    late_ms
        From the block that completed a window of spikes to the command, ms.
    """

    rules: list[LoopRule]
    setup: list[dict[str, Any]] = field(default_factory=list)
    state: State = field(default_factory=dict)
    commands: int = 0
    late_ms: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_LATENCIES))

    def take(self, topic: str, value: bytes, now_us: int) -> list[dict[str, Any]]:
        """Return the commands that a record calls for; one that cannot be read calls for none."""
        try:
            event = _event(topic, value)
        except (SchemaError, ValueError, TypeError, KeyError):
            return []
        if len(self.state) > MOST_STATES:
            self.state = {}
        self.state, commands = respond(self.rules, self.state, event, now_us // 1000)
        if commands and event.get("sent"):
            self.late_ms.append((now_us - event["sent"]) / 1000)
        self.commands += len(commands)
        return commands


def load(path: Path) -> Loop:
    """Read rules: ``{"rules": [{…}], "setup": [{"call": …, "arguments": {…}}]}``.

    Raises
    ------
    SettingsError
        Not JSON, or a rule without what `LoopRule` needs, or with something else.
    """
    try:
        found = json.loads(path.read_bytes())
        rows, setup = found["rules"], found.get("setup", [])
        rules = [_rule(row) for row in rows]
        calls = [{"call": each["call"], "arguments": each.get("arguments", {})} for each in setup]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(
            f"{path.name}: expected an object with rules, each with name, electrode and config "
            f"and of {', '.join(KNOWN)} nothing else, found: {error or type(error).__name__}"
        ) from error
    if not rules or (wrong := {each["call"] for each in calls} - set(NAMES)):
        raise SettingsError(
            f"{path.name}: expected at least one rule and calls of the stimulator, "
            f"found {len(rules)} rules and {', '.join(sorted(wrong)) if rules else 'no calls'}"
        )
    return Loop(rules, calls)


def _rule(row: dict[str, Any]) -> LoopRule:
    """Return a rule whose values have the types that they need."""
    rule = LoopRule(**{**row, "channels": frozenset(row.get("channels", ()))})
    for name, kind in KNOWN.items():
        value = getattr(rule, name)
        numbers = int if kind == "int" else (int, float)
        right = isinstance(value, str) if kind == "str" else isinstance(value, numbers)
        if not isinstance(value, frozenset) and (not right or isinstance(value, bool)):
            raise ValueError(f"{name} is {value!r}")
    return rule


def _event(topic: str, value: bytes) -> dict[str, Any]:
    """Return a record as `respond` takes it; batches of spikes come faster as windows."""
    if topic == topics.SPIKES:
        window = avro.decode("neural_spikes", value)
        samples = np.frombuffer(window["sample"], "<i8").tolist()
        channels = np.frombuffer(window["channel"], "<i4").tolist()
        return {**window, "kind": SPIKES, "sample": samples, "channel": channels}
    event = orjson.loads(value)
    return {} if event["kind"] == SPIKES else dict(event)


def run(
    settings: Settings, loop: Loop, tenant: str, now_us: Callable[[], int], unique: str
) -> Generator[Loop, None, None]:
    """Send what records call for, from now on; yield after every poll.

    Raises
    ------
    KafkaError
        The topics are not there, or commands cannot be delivered.
    """
    config = {"group.id": "sentinel.loop", "enable.auto.commit": False, "fetch.wait.max.ms": 1}
    consumer = Consumer(client_config(settings) | config)
    try:
        consumer.assign(list(_places(consumer)))
        with Producer(settings, linger_ms=LINGER_MS) as producer:

            def send(command: dict[str, Any]) -> None:
                key = f"{tenant}/{command['device']}".encode()
                headers = None if tenant == DEFAULT_TENANT else {"tenant": tenant}
                producer.send(topics.COMMANDS, orjson.dumps(command), key=key, headers=headers)

            for number, each in enumerate(loop.setup):
                for device in sorted({rule.device for rule in loop.rules}):
                    named = {"id": f"{unique}/{number}", "device": device}
                    send({**named, **each, "time_ms": now_us() // 1000})
            while True:
                message = consumer.poll(POLL_S)
                if message is not None and not message.error() and _tenant(message) == tenant:
                    value = message.value() or b""
                    for command in loop.take(message.topic() or "", value, now_us()):
                        send(command)
                yield loop
    finally:
        consumer.close()


def _tenant(message: Message) -> str:
    """Return whose record it is."""
    found = dict(message.headers() or ()).get("tenant")
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else DEFAULT_TENANT


def _places(consumer: Consumer) -> Iterator[TopicPartition]:
    """Yield the ends of the topics that are read."""
    known = consumer.list_topics(timeout=30).topics
    for name in (topics.NEURAL_EVENTS, topics.SPIKES):
        if name not in known:
            raise KafkaError(
                f"expected the topic {name}, the broker has none; "
                "make it with `sentinel topics create`"
            )
        for number in known[name].partitions:
            yield TopicPartition(name, number, OFFSET_END)
