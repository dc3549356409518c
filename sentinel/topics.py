"""Every topic: its key, schema, writer and readers. The picture in README is this table.

``raw.<source>`` stands for one topic a connector; all others are one topic each.
"""

from __future__ import annotations

from dataclasses import dataclass

RAW_PREFIX = "raw."
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MIB = 1_048_576


@dataclass(frozen=True, slots=True)
class Topic:
    """One row of the table.

    Attributes
    ----------
    name
        Topic name; ``raw.*`` is a family, one topic for each connector.
    key
        What the key is, hence what shares a partition.
    schema
        Avro schema (file stem in ``schemas/``), or ``raw`` for the source's own bytes.
    writer, readers
        Stage or package that writes and the stages that read; none: it is for subscribers.
    retention_ms
        How long records are kept; -1 for ever.
    max_bytes
        Largest record the broker takes.
    compact
        Whether the broker keeps the newest record of each key (``cleanup.policy``).
    """

    name: str
    key: str
    schema: str
    writer: str
    readers: tuple[str, ...]
    retention_ms: int
    max_bytes: int
    compact: bool = False


#: What people say an alert turned out to be, with the reason: JSON, from which models learn.
FEEDBACK = "feedback"
POSITIONS = "connector.positions"
ARRIVALS = "connector.arrivals"
#: Samples, 62 MB a second of 1,024 channels: kept for minutes, not days.
NEURAL = "raw.neural"
#: What the neural stage makes of them, for whoever subscribes: Avro, and JSON
#: (``schemas/neural_event.schema.json``).
SPIKES, NEURAL_EVENTS = "neural.spikes", "neural.events"
#: What stimulators are told to do, and what they did: every call, stimulus and refusal.
COMMANDS, STIMULI = "neural.commands", "neural.stimuli"
TOPICS: tuple[Topic, ...] = (
    Topic("raw.*", "producer's", "raw", "connectors", ("normalize",), 7 * DAY_MS, 16 * MIB),
    Topic(
        "events",
        "tenant + acting entity",
        "event_batch",
        "normalize",
        ("detect", "persist"),
        3 * DAY_MS,
        64 * MIB,
    ),
    Topic(
        "signals",
        "tenant + rule + group",
        "signal_batch",
        "detect",
        ("correlate",),
        3 * DAY_MS,
        64 * MIB,
    ),
    Topic(
        "alerts",
        "tenant + alert id",
        "alert",
        "correlate",
        ("persist", "deliver"),
        30 * DAY_MS,
        64 * MIB,
    ),
    Topic(
        NEURAL, "session + bank", "neural_block", "neural rigs", ("neural",), HOUR_MS // 6, 2 * MIB
    ),
    Topic(SPIKES, "session + bank", "neural_spikes", "neural", (), 6 * HOUR_MS, 16 * MIB),
    Topic(NEURAL_EVENTS, "session + bank", "raw", "neural", ("deliver",), DAY_MS, 16 * MIB),
    Topic(COMMANDS, "tenant + device", "raw", "API", ("stimulate",), DAY_MS, MIB),
    Topic(STIMULI, "tenant + device", "raw", "stimulate", ("API",), 90 * DAY_MS, MIB),
    Topic(FEEDBACK, "tenant + alert id", "raw", "API", (), 365 * DAY_MS, MIB),
    Topic("dead_letter", "none", "raw", "any stage", ("dead_letter",), 30 * DAY_MS, 20 * MIB),
    Topic(POSITIONS, "tenant + input", "raw", "connectors", ("connectors",), -1, MIB, compact=True),
    Topic(
        ARRIVALS,
        "tenant + input + object",
        "raw",
        "connectors",
        ("reconcile",),
        90 * DAY_MS,
        MIB,
        compact=True,
    ),
)
BY_NAME = {topic.name: topic for topic in TOPICS}


def raw(source: str) -> str:
    """Return the topic of a source: ``raw.<source>``."""
    return RAW_PREFIX + source


def source_of(topic: str) -> str:
    """Return the source of a raw topic: the inverse of `raw`."""
    return topic.removeprefix(RAW_PREFIX)
