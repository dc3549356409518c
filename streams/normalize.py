"""Normalize: raw records of a source become events, in OCSF terms, with the rules they match.

The stage around `streams.normalizer`: it cuts messages up, puts records of several lines
together, and turns what cannot be handled into dead letters; the others of a batch are
not affected.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, NoReturn, cast

import msgspec

from connectors.base import Assembler, Connector
from detectors.sigma import RuleSet
from sentinel import log, topics
from sentinel.errors import DecodeError, RecordError
from sentinel.settings import Settings
from streams.normalizer import Normalizer, Units
from streams.policy.look_ups import enricher
from streams.policy.rule_sets import RuleWatch
from streams.policy.suppressions import Board, Reader
from streams.runtime import telemetry
from streams.runtime.letters import Letter, Origin, letter
from streams.runtime.stage import Outgoing, Output, Stage, Task
from streams.transport import RecordBatch

LOG = log.get(__name__)
DEFAULT_TENANT = "default"
TENANT_HEADER = "tenant"
ORIGIN_HEADER = "sentinel-origin"
#: Set by the connectors' runner: the name of the record at its source, and what is wrong with it.
RECORD_HEADER = "record-id"
PROBLEM_HEADER = "record-problem"
MAX_RECORD_ID = 2048
Header = list[tuple[str, bytes]] | None


class Headers(NamedTuple):
    """What the headers of a raw message state."""

    tenant: str = DEFAULT_TENANT
    origin: Origin | None = None
    record: str = ""
    problem: str = ""


class NormalizeTask(Task):
    """One raw partition: cuts messages up, puts records together, normalizes, counts."""

    def __init__(self, normalizer: Normalizer, connector: Connector, max_event_bytes: int) -> None:
        super().__init__()
        self._normalizer = normalizer
        self._connector = connector
        self._assembles = connector.assembler() is not None
        #: What waits for more records, by tenant: nodes of two tenants may share a name.
        self._assemblers: dict[str, Assembler] = {}
        self._max = max_event_bytes
        self._place = ("", 0)
        #: When the last message arrived: what a flush of a quiet partition uses.
        self._arrived = 0

    def process(self, batch: RecordBatch) -> Output:
        """Normalize a batch of raw records: as it is if every message is an event, else cut up."""
        self._place = (batch.topic, batch.partition)
        self._arrived = batch.timestamps[-1]
        telemetry.latency(
            "normalize", self._normalizer.source, batch.timestamps[0], batch.timestamps[0]
        )
        first, last = 2 * batch.first, 2 * batch.last
        units = self._whole(batch)
        if units is not None:
            batches = self._normalizer.quickly(units, self._place, first, last)
            if batches is not None:
                self._taken(units.tenants, ())
                return Output([Outgoing("events", b.encode(), p) for p, b in batches])
        units, letters = Units(), list[Letter]()
        for record in zip(
            batch.offsets, batch.values, batch.timestamps, batch.headers, strict=True
        ):
            self._cut(record, units, letters)
        return self._normalize(units, first, last, letters)

    def _whole(self, batch: RecordBatch) -> Units | None:
        """Return the messages of a batch as units, if each may be one event."""
        values = cast(list[bytes], batch.values)
        if self._assembles or not all(values) or max(map(len, values)) > self._max:
            return None
        units = Units(
            raws=values,
            tenants=[DEFAULT_TENANT] * len(values),
            offsets=batch.offsets,
            sequences=[2 * offset for offset in batch.offsets],
            arrived=batch.timestamps,
        )
        for row, headers in enumerate(batch.headers) if any(batch.headers) else ():
            if not headers:
                continue
            told = _read(headers)
            if told.problem:
                return None
            units.tenants[row] = told.tenant
            if told.origin:
                units.origins[row] = told.origin
            if told.record:
                units.records[row] = told.record
        return units

    def _cut(
        self,
        record: tuple[int, bytes | None, int, Header],
        units: Units,
        letters: list[Letter],
    ) -> None:
        """Cut one message into units; what cannot be cut up becomes a letter."""
        offset, value, arrived, headers = record
        tenant, origin, record_id, problem = _read(headers)
        try:
            parts = self._split(value) if not problem else _refused(problem)
        except RecordError as error:
            self.ledger.add(
                "normalize", tenant, self._normalizer.source, {"in": 1, "dead_lettered": 1}
            )
            place = Origin(*self._place, offset)
            letter = self._letter(value or b"", tenant, place, origin or place, error)
            letters.append(_named(letter, record_id, problem))
            return
        if self._assembles:
            parts = self._assemble(parts, offset, tenant)
        for part, raw in enumerate(parts):
            if origin:
                units.origins[len(units.raws)] = origin._replace(unit=origin.unit + part)
            if record_id:
                units.records[len(units.raws)] = record_id
            units.add(raw, tenant, offset, part, 2 * offset, arrived)

    def _split(self, value: bytes | None) -> Sequence[bytes]:
        """Cut one message up and check the sizes of the events in it."""
        if not value:
            raise DecodeError("empty", "expected a raw event, found an empty message")
        try:
            parts = tuple(self._connector.split(value))
        except RecordError:
            raise
        except Exception as error:
            LOG.exception("a split failed", action="split_bug", source=self._normalizer.source)
            raise RecordError("internal", f"{type(error).__name__}: {error}") from error
        largest = max(map(len, parts), default=0)
        if largest > self._max:
            raise DecodeError(
                "too_large",
                f"expected events of at most {self._max} bytes, found one of {largest}; "
                "raise SENTINEL_MAX_EVENT_BYTES if such events are wanted",
            )
        return parts

    def _assemble(self, parts: Sequence[bytes], offset: int, tenant: str) -> Sequence[bytes]:
        """Put records together into events, counting what waits and what was folded."""
        assembler = self._assemblers.get(tenant)
        if assembler is None:
            assembler = self._assemblers[tenant] = _new(self._connector)
        before = assembler.pending()
        events = assembler.feed(parts, offset)
        waiting = assembler.pending() - before
        folded = len(parts) - waiting - len(events)
        counts = {"in": len(parts) - len(events), "pending": waiting, "folded": folded}
        self.ledger.add("normalize", tenant, self._normalizer.source, counts)
        return events

    def _normalize(self, units: Units, first: int, last: int, letters: list[Letter]) -> Output:
        """Normalize units and turn the results into records to produce."""
        batches, bad = self._normalizer.normalize(units, self._place, first, last)
        for row, error in bad:
            place, origin = units.place(row, self._place), units.origin(row, self._place)
            letter = self._letter(units.raws[row], units.tenants[row], place, origin, error)
            letters.append(_named(letter, units.records.get(row, "")))
        self._taken(units.tenants, [units.tenants[row] for row, _ in bad])
        records = [Outgoing("events", b.encode(), p) for p, b in batches]
        return Output(records + [item.outgoing() for item in letters])

    def _taken(self, tenants: Sequence[str], dead: Sequence[str]) -> None:
        """Count units by the tenants they are of, and those that became dead letters."""
        lost = Counter(dead)
        for tenant, count in Counter(tenants).items():
            counts = {"in": count, "out": count - lost[tenant], "dead_lettered": lost[tenant]}
            self.ledger.add("normalize", tenant, self._normalizer.source, counts)

    def evictions(self) -> dict[str, int]:
        """Return the events given up incomplete, and the records that the source lost."""
        held = self._assemblers.values()
        return {
            what: sum(getattr(assembler, what, 0) for assembler in held)
            for what in ("evicted", "lost")
        }

    def waiting(self) -> bool:
        """Return whether incomplete events are held back."""
        return any(assembler.pending() for assembler in self._assemblers.values())

    def flush(self, next_offset: int) -> Output:
        """Let incomplete events go; their sequence lies between the last offset and the next."""
        sequence = 2 * next_offset - 1
        units = Units()
        for tenant, assembler in self._assemblers.items():
            pending = assembler.pending()
            events = assembler.flush()
            counts = {"pending": -pending, "folded": pending - len(events), "in": -len(events)}
            self.ledger.add("normalize", tenant, self._normalizer.source, counts)
            for raw in events:
                part = -1 - len(units.raws)
                units.add(raw, tenant, next_offset - 1, part, sequence, self._arrived)
        return self._normalize(units, sequence, sequence, [])

    def _letter(
        self, raw: bytes, tenant: str, place: Origin, origin: Origin, error: RecordError
    ) -> Letter:
        """Return the dead letter of a unit."""
        source = self._normalizer.source
        telemetry.dead_lettered("normalize", source, error.reason)
        found = letter("normalize", raw, tenant, source, place, error)
        if origin != place:
            found.headers[ORIGIN_HEADER] = origin.text
        return found

    def snapshot(self) -> bytes:
        """Return what waits for more records."""
        if not self._assembles:
            return b""
        waiting = {tenant: assembler.snapshot() for tenant, assembler in self._assemblers.items()}
        return msgspec.msgpack.encode((self._place, self._arrived, waiting))

    def restore(self, state: bytes) -> None:
        """Take up what `snapshot` returned."""
        self._place, self._arrived, waiting = msgspec.msgpack.decode(
            state, type=tuple[tuple[str, int], int, dict[str, bytes]]
        )
        for tenant, held in waiting.items():
            self._assemblers[tenant] = _new(self._connector)
            self._assemblers[tenant].restore(held)


def _new(connector: Connector) -> Assembler:
    """Return an assembler of a connector that has one."""
    assembler = connector.assembler()
    if assembler is None:
        raise TypeError(f"{type(connector).__name__}: expected an assembler, as there was before")
    return assembler


def _read(headers: Header) -> Headers:
    """Return what headers state: the tenant, and of a replayed dead letter the origin."""
    tenant, origin, record, problem = Headers()
    for name, value in headers or ():
        if not value:
            continue
        if name == TENANT_HEADER:
            tenant = value.decode("utf-8", "replace")[:128]
        elif name == RECORD_HEADER:
            record = value.decode("utf-8", "replace")[:MAX_RECORD_ID]
        elif name == ORIGIN_HEADER:
            origin = Origin.parse(value)
        elif name == PROBLEM_HEADER:
            problem = value.decode("utf-8", "replace")
    return Headers(tenant, origin, record, problem)


def _refused(problem: str) -> NoReturn:
    """Raise what a reader found wrong: ``reason: detail``."""
    reason, _, detail = problem.partition(": ")
    if not re.fullmatch(r"[a-z_]{1,32}", reason):
        reason, detail = "unreadable", problem
    raise DecodeError(reason, detail or problem)


def _named(letter: Letter, record: str, problem: str = "") -> Letter:
    """Keep in a dead letter what its message was called, so that a replay keeps its ids."""
    if record:
        letter.headers[RECORD_HEADER] = record
    if problem:
        letter.headers[PROBLEM_HEADER] = problem
    return letter


class NormalizeStage(Stage):
    """Reads ``raw.*``, writes ``events`` and ``dead_letter``."""

    name = "normalize"

    def __init__(
        self,
        settings: Settings,
        connectors: Mapping[str, type[Connector]],
        rules: RuleSet,
        partitions: int,
        board: Board | None = None,
    ) -> None:
        self._board = board or Board()
        self._reader = Reader(self._board, settings.postgres, self.name)
        self._max = settings.max_event_bytes
        self._connectors = {name: cls() for name, cls in connectors.items()}
        started = time.perf_counter()
        window_ms = 1000 * settings.repeat_window_s
        self.normalizers = {
            name: Normalizer(
                name,
                connector,
                rules,
                partitions,
                window_ms,
                self._board,
                partial(enricher, settings),
            )
            for name, connector in self._connectors.items()
        }
        LOG.debug("rules compiled", action="rules", seconds=time.perf_counter() - started)
        self._watch = RuleWatch(settings, self.prepare)

    def prepare(self, rules: RuleSet) -> Callable[[], None]:
        """Compile other rules; return what puts them in force, between two batches."""
        compiled = [(each, each.compiled(rules)) for each in self.normalizers.values()]

        def put() -> None:
            for normalizer, found in compiled:
                normalizer.use(found)

        return put

    async def open(self) -> None:
        """Read what tenants have set of rules, waiting until PostgreSQL is there."""
        await self._reader.open()

    async def beside(self) -> None:
        """Keep the rules up to date with their files, and with what tenants set of them."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reader.run())
            group.create_task(self._watch.run())

    def topics(self) -> list[str]:
        """Return one raw topic a connector."""
        return [topics.raw(name) for name in self._connectors]

    def task(self, topic: str, partition: int) -> Task:
        """Return the task of a raw partition."""
        source = topics.source_of(topic)
        return NormalizeTask(self.normalizers[source], self._connectors[source], self._max)
