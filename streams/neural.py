"""Neural: blocks of samples become spikes and events, bank by bank.

One task is one partition of ``raw.neural`` with the streams of its banks. Their state is kept
with the offset, and what comes out depends on the samples alone (`bci.bank`): after a crash
the same records come again, with the same ids. Spikes go to ``neural.spikes``, all events to
``neural.events``, and those that tell of something unusual to ``raw.bci_event`` as well, where
rules and models see them like events of any other source.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
import orjson

from bci.bank import BankStream, Given, Window
from bci.block import Bank, Block
from bci.engine.plan import TILE
from bci.events import NOTABLE, Event
from schemas.snapshot import pack, unpack
from sentinel import log, metrics, topics
from sentinel.errors import RecordError, SchemaError
from streams.normalize import DEFAULT_TENANT, TENANT_HEADER
from streams.runtime import telemetry
from streams.runtime.letters import Origin, letter
from streams.runtime.stage import Outgoing, Output, Stage, Task
from streams.transport import RecordBatch

LOG = log.get(__name__)
SOURCE: Final = "neural"
EVENTS_SOURCE: Final = "bci_event"
#: Banks with state in one partition; the least recently active is finished beyond it.
MAX_BANKS: Final = 64
KIND: Final = "streams.neural"
VERSION: Final = 1

#: Tenant, session and number of a bank.
Key = tuple[str, str, int]


class NeuralTask(Task):
    """One partition of samples."""

    def __init__(self) -> None:
        super().__init__()
        self._banks: OrderedDict[Key, BankStream] = OrderedDict()
        self._evicted = 0

    def process(self, batch: RecordBatch) -> Output:
        """Detect in the blocks of a poll, those of a bank together."""
        output = Output()
        groups: dict[Key, list[Block]] = {}
        good: Counter[str] = Counter()
        rows = zip(batch.offsets, batch.values, batch.headers, strict=True)
        for offset, value, headers in rows:
            tenant = _tenant(headers)
            try:
                block = Block.decode(value or b"")
            except SchemaError as error:
                origin = Origin(batch.topic, batch.partition, offset)
                output.records.append(self._refuse(tenant, value or b"", origin, error))
                continue
            good[tenant] += 1
            groups.setdefault((tenant, block.bank.session, block.bank.number), []).append(block)
        for tenant, count in good.items():
            self.ledger.add("neural", tenant, SOURCE, {"in": count, "out": count})
        for key, blocks in groups.items():
            for part in _alike(blocks):
                stream = self._stream(key, part[0].bank, output)
                if len(part[0].samples):
                    given = stream.process(part)
                else:  # the recording has ended
                    given = stream.finish()
                    del self._banks[key]
                self._tell(key[0], stream.bank, given, output)
            _behind(blocks[-1].bank, blocks[-1].sent)
        return output

    def _stream(self, key: Key, bank: Bank, output: Output) -> BankStream:
        """Return the stream of a bank; what it was before, if it was otherwise, is finished."""
        stream = self._banks.get(key)
        if stream is not None and not _same(stream.bank, bank):
            self._tell(key[0], stream.bank, stream.finish(), output)
            stream = None
        if stream is None:
            stream = self._banks[key] = BankStream(bank)
        self._banks.move_to_end(key)
        while len(self._banks) > MAX_BANKS:
            (tenant, _, _), old = self._banks.popitem(last=False)
            self._tell(tenant, old.bank, old.finish(), output)
            self._evicted += 1
        return stream

    def _tell(self, tenant: str, bank: Bank, given: Given, output: Output) -> None:
        """Add the records of what a bank gave."""
        headers = None if tenant == DEFAULT_TENANT else {TENANT_HEADER: tenant}
        key = bank.key
        for window in given.windows:
            value = window.encode(bank)
            output.records.append(Outgoing(topics.SPIKES, value, key=key, headers=headers))
        for event in given.events:
            value = orjson.dumps(event)
            record = Outgoing(topics.NEURAL_EVENTS, value, key=key, headers=headers)
            output.records.append(record)
            if event["kind"] in NOTABLE:
                name = topics.raw(EVENTS_SOURCE)
                output.records.append(record._replace(topic=name))
        _measure(tenant, bank, given.windows, given.events)

    def _refuse(self, tenant: str, value: bytes, origin: Origin, error: Exception) -> Outgoing:
        """Return the dead letter of a record that is no block, and count it."""
        self.ledger.add("neural", tenant, SOURCE, {"in": 1, "dead_lettered": 1})
        telemetry.dead_lettered("neural", SOURCE, "schema")
        reason = RecordError("schema", str(error))
        return letter("neural", value, tenant, SOURCE, origin, reason).outgoing()

    def evictions(self) -> dict[str, int]:
        """Return how many banks were finished to make room."""
        return {"banks": self._evicted}

    def snapshot(self) -> bytes:
        """Return the state of every bank."""
        banks = [[list(key), stream.snapshot()] for key, stream in self._banks.items()]
        return pack(KIND, VERSION, {"banks": banks})

    def restore(self, state: bytes) -> None:
        """Take up what `snapshot` returned; a state of other settings starts anew."""
        self._banks.clear()
        for key, kept in unpack(KIND, VERSION, state)["banks"]:
            tenant, session, number = key
            try:
                self._banks[tenant, session, number] = BankStream.restore(kept)
            except SchemaError as error:
                LOG.warning("a bank starts anew", action="neural_state", bank=key, error=str(error))


class NeuralStage(Stage):
    """Reads ``raw.neural``; writes ``neural.spikes``, ``neural.events``, ``raw.bci_event``."""

    name = "neural"

    def __init__(self) -> None:
        _warm()

    def topics(self) -> list[str]:
        """Return the topic of samples."""
        return [topics.NEURAL]

    def task(self, topic: str, partition: int) -> Task:
        """Return a task without any banks."""
        return NeuralTask()


def _warm() -> None:
    """Compile the kernels, or load them from disk, before the first block waits for them."""
    bank = Bank("", 0, 30_000.0, 0, np.ones(TILE, np.float32), np.zeros((0, 2), np.float32), ())
    BankStream(bank).process([Block(bank, 0, 0, np.zeros((300, TILE), np.int16))])


def _tenant(headers: Iterable[tuple[str, bytes]] | None) -> str:
    """Return the tenant that the headers of a record name."""
    found = dict(headers or ()).get(TENANT_HEADER)
    return found.decode(errors="replace") if found else DEFAULT_TENANT


def _alike(blocks: Iterable[Block]) -> list[list[Block]]:
    """Return the blocks in parts with the same description of the bank; ends alone."""
    parts: list[list[Block]] = []
    for block in blocks:
        last = parts[-1][0] if parts and len(block.samples) else None
        if last is not None and len(last.samples) and _same(last.bank, block.bank):
            parts[-1].append(block)
        else:
            parts.append([block])
    return parts


def _same(one: Bank, other: Bank) -> bool:
    """Say whether two blocks describe their bank alike."""
    return one is other or (
        (one.fs, one.epoch, one.labels) == (other.fs, other.epoch, other.labels)
        and np.array_equal(one.uv_per_bit, other.uv_per_bit)
        and np.array_equal(one.positions, other.positions)
    )


def _measure(tenant: str, bank: Bank, windows: Iterable[Window], found: Iterable[Event]) -> None:
    """Show spikes, band power and health as metrics."""
    label, number = metrics.tenant_label(tenant), str(bank.number % MAX_BANKS)
    count = sum(len(window.spikes.sample) for window in windows)
    if count:
        metrics.NEURAL_SPIKES.labels(label).inc(count)
    for event in found:
        metrics.NEURAL_EVENTS.labels(label, event["kind"]).inc()
        if event["kind"] == "gap":
            metrics.NEURAL_MISSING_SAMPLES.labels(label).inc(max(0, event["missing_samples"]))
        elif event["kind"] == "activity":
            _show(number, event)


def _show(number: str, event: Mapping[str, list[float]]) -> None:
    """Set the gauges of a bank."""
    if "rate_hz" in event:  # not where the sampling rate leaves no room for spikes
        metrics.NEURAL_RATE.labels(number).set(float(np.mean(event["rate_hz"])))
    states: list[str] = list(map(str, event["state"]))
    for state in ("good", "flat", "saturated", "weak", "noisy"):
        metrics.NEURAL_CHANNELS.labels(number, state).set(states.count(state))
    powers: Mapping[str, list[float]] = event["band_uv2"]  # type: ignore[assignment]
    for band, power in powers.items():
        metrics.NEURAL_BAND_UV2.labels(number, band).set(float(np.median(power)))


def _behind(bank: Bank, sent: int) -> None:
    """Show how long ago the last block of a bank was sent."""
    now = time.time_ns() // 1000
    number = str(bank.number % MAX_BANKS)
    metrics.NEURAL_BEHIND.labels(number).set(max(0.0, (now - sent) / 1e6))
