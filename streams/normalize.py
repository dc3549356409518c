"""Normalize: raw records of a source become events, in OCSF terms, with the Sigma rules they match.

Stateless work happens here, once, while the source's own fields are decoded. What
goes on is a batch of columns per events partition (`schemas.batch`), keyed by tenant
and acting entity, the raw bytes with it. A record that cannot be handled becomes a
dead letter; the others of its batch are not affected.
"""

from __future__ import annotations

import time
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from connectors.base import Connector, Summary
from detectors.explain import rule_explanation
from detectors.match import Matcher
from detectors.sigma import Rule, RuleSet
from schemas.batch import EventBatch, Hit, RuleRef, Strings
from schemas.identity import event_uid
from sentinel import log, topics
from sentinel.errors import DecodeError, RecordError
from sentinel.settings import Settings
from streams import telemetry
from streams.letters import Letter, Origin, letter
from streams.stage import Outgoing, Output, Stage, Task
from streams.transport import RecordBatch

LOG = log.get(__name__)
DEFAULT_TENANT = "default"
TENANT_HEADER = "tenant"
ORIGIN_HEADER = "sentinel-origin"
#: Entities whose partition is remembered; cleared when full, it is only a cache.
MAX_ROUTES = 100_000


class Unit(NamedTuple):
    """One raw event on its way through: where it is, where it first was, and when it came.

    `place` and `origin` differ for a dead letter that was replayed: its id, where the
    source gives none, is still made from where it first was.
    """

    raw: bytes
    tenant: str
    place: Origin
    origin: Origin
    sequence: int
    arrived: int


class Normalizer:
    """The pure part: raw events of one source in, batches per events partition and letters out.

    Holds no state but caches, so one serves all partitions of a source.

    Parameters
    ----------
    source
        Name of the connector.
    connector
        The connector.
    rules
        Rules of any log source; those of the connector's are selected.
    partitions
        Number of partitions of ``events``.
    """

    def __init__(self, source: str, connector: Connector, rules: RuleSet, partitions: int) -> None:
        self.source = source
        self._connector = connector
        self._partitions = partitions
        selected = rules.select(connector.logsources)
        fields = frozenset[str]().union(*(rule.fields for rule in selected.rules))
        self._decoder = connector.decoder(fields)
        self.matcher: Matcher = selected.matcher(
            self._decoder.getter, getattr(self._decoder, "text", None)
        )
        self._routes: dict[tuple[str, str], int] = {}

    def normalize(
        self, units: Sequence[Unit], place: tuple[str, int], first: int, last: int
    ) -> tuple[list[tuple[int, EventBatch]], list[tuple[Unit, RecordError]]]:
        """Decode, summarise, match and group the `units` of one raw partition.

        Parameters
        ----------
        place
            Raw topic and partition.
        first, last
            Raw sequence range that the units cover completely.
        """
        decoded, summaries, good, bad = self._decode(units)
        if not good:
            return [], bad
        whole = self._columns(good, summaries, place, first, last)
        self._match(whole, decoded)
        routes = self._route(good, summaries)
        batches: list[tuple[int, EventBatch]] = []
        used = np.unique(routes)
        for partition in used:
            if len(used) == 1:
                batches.append((int(partition), whole))
            else:
                rows = np.flatnonzero(routes == partition)
                batches.append((int(partition), whole.take(rows, first, last)))
        return batches, bad

    def _decode(
        self, units: Sequence[Unit]
    ) -> tuple[list[Any], list[Summary], Sequence[Unit], list[tuple[Unit, RecordError]]]:
        """Decode and summarise; the fast way first, unit by unit only if one fails."""
        decode, summarise = self._decoder.decode, self._connector.summarise
        try:
            decoded = [decode(unit.raw) for unit in units]
            return decoded, [summarise(event) for event in decoded], units, []
        except Exception:  # noqa: BLE001, S110 - whichever it was, the slow way names it
            pass
        good: list[Unit] = []
        events: list[Any] = []
        summaries: list[Summary] = []
        bad: list[tuple[Unit, RecordError]] = []
        for unit in units:
            try:
                event = decode(unit.raw)
                summaries.append(summarise(event))
            except RecordError as error:
                bad.append((unit, error))
            except Exception as error:
                LOG.exception("a mapping failed", action="mapping_bug", source=self.source)
                bad.append((unit, RecordError("internal", f"{type(error).__name__}: {error}")))
            else:
                events.append(event)
                good.append(unit)
        return events, summaries, good, bad

    def _columns(
        self,
        units: Sequence[Unit],
        summaries: list[Summary],
        place: tuple[str, int],
        first: int,
        last: int,
    ) -> EventBatch:
        """Turn rows into columns."""
        (
            native, times, classes, activities, statuses, severities,
            entity, operation, service, src_ip, user_agent, region,
        ) = zip(*summaries, strict=True)  # fmt: skip
        source = self.source
        uids = b"".join(
            [
                event_uid(unit.tenant, source, ident or unit.origin.text)
                for unit, ident in zip(units, native, strict=True)
            ]
        )
        raws = [unit.raw for unit in units]
        return EventBatch(
            source=source,
            origin_topic=place[0],
            origin_partition=place[1],
            origin_first=first,
            origin_last=last,
            uid=np.frombuffer(uids, dtype=np.uint8).reshape(-1, 16),
            time=np.array(times, dtype=np.int64),
            arrived=np.array([unit.arrived for unit in units], dtype=np.int64),
            origin=np.array([unit.sequence for unit in units], dtype=np.int64),
            class_uid=np.array(classes, dtype=np.int32),
            activity_id=np.array(activities, dtype=np.int32),
            status_id=np.array(statuses, dtype=np.int32),
            severity_id=np.array(severities, dtype=np.int32),
            tenant=Strings.of([unit.tenant for unit in units]),
            entity=Strings.of(entity),
            operation=Strings.of(operation),
            service=Strings.of(service),
            src_ip=Strings.of(src_ip),
            user_agent=Strings.of(user_agent),
            region=Strings.of(region),
            raw=b"".join(raws),
            raw_end=np.cumsum([len(raw) for raw in raws], dtype=np.int64),
        )

    def _match(self, batch: EventBatch, decoded: list[Any]) -> None:
        """Find the rules that the events match and note them in the batch."""
        refs: dict[str, int] = {}
        explained: set[tuple[int, int, int]] = set()
        for row, rule in self.matcher.match(decoded):
            place = refs.setdefault(rule.id, len(refs))
            if place == len(batch.rules):
                batch.rules.append(_ref(rule))
            key = (place, int(batch.tenant.index[row]), int(batch.entity.index[row]))
            text = ""
            if key not in explained:
                explained.add(key)
                matched = self.matcher.explain(decoded[row], rule)
                text = rule_explanation(batch.rules[place], matched)
            batch.hits.append(Hit(row, place, text))

    def _route(self, units: Sequence[Unit], summaries: list[Summary]) -> NDArray[np.int64]:
        """Return the events partition of each unit: a hash of tenant and acting entity."""
        routes = self._routes
        if len(routes) > MAX_ROUTES:
            routes.clear()
        found = []
        for unit, summary in zip(units, summaries, strict=True):
            key = (unit.tenant, summary.entity)
            partition = routes.get(key)
            if partition is None:
                partition = routes[key] = partition_of(*key, self._partitions)
            found.append(partition)
        return np.array(found, dtype=np.int64)


def partition_of(tenant: str, group: str, partitions: int) -> int:
    """Return the partition of a key; CRC-32, so it is the same in every process and release."""
    return zlib.crc32(f"{tenant}\x1f{group}".encode(errors="surrogatepass")) % partitions


def _ref(rule: Rule) -> RuleRef:
    """Return what travels of a rule."""
    return RuleRef(rule.id, rule.title, rule.severity_id, tuple(rule.techniques))


class NormalizeTask(Task):
    """One raw partition: cuts messages up, puts records together, normalizes, counts."""

    def __init__(self, normalizer: Normalizer, connector: Connector, max_event_bytes: int) -> None:
        super().__init__()
        self._normalizer = normalizer
        self._connector = connector
        self._assembler = connector.assembler()
        self._max = max_event_bytes
        self._place = ("", 0)
        #: Tenant and arrival of the last message: what a flush of a quiet partition uses.
        self._last = (DEFAULT_TENANT, 0)

    def process(self, batch: RecordBatch) -> Output:
        """Normalize a batch of raw records."""
        self._place = (batch.topic, batch.partition)
        letters: list[Letter] = []
        units: list[Unit] = []
        for record in zip(
            batch.offsets, batch.values, batch.timestamps, batch.headers, strict=True
        ):
            self._units(record, units, letters)
        output = self._normalize(units, 2 * batch.first, 2 * batch.last, letters)
        for unit in units[:1]:
            telemetry.latency("normalize", self._normalizer.source, unit.arrived, unit.arrived)
        return output

    def _units(
        self,
        record: tuple[int, bytes | None, int, list[tuple[str, bytes]] | None],
        units: list[Unit],
        letters: list[Letter],
    ) -> None:
        """Cut one message into units; what cannot be cut up becomes a letter."""
        offset, value, arrived, headers = record
        place = origin = Origin(*self._place, offset)
        tenant = DEFAULT_TENANT
        if headers:
            tenant, origin = _from_headers(headers, tenant, origin)
        self._last = (tenant, arrived)
        try:
            parts = self._split(value)
        except RecordError as error:
            self._count(tenant, {"in": 1, "dead_lettered": 1})
            letters.append(self._letter(value or b"", tenant, place, origin, error))
            return
        if self._assembler is not None:
            parts = self._assemble(parts, offset, tenant)
        for index, raw in enumerate(parts):
            if index:
                place, origin = place._replace(unit=index), _part(origin, index)
            units.append(Unit(raw, tenant, place, origin, 2 * offset, arrived))

    def _split(self, value: bytes | None) -> Sequence[bytes]:
        """Cut one message up and check sizes."""
        if not value:
            raise DecodeError("empty", "expected a raw event, found an empty message")
        if len(value) > self._max:
            return self._split_large(value)
        try:
            return tuple(self._connector.split(value))
        except RecordError:
            raise
        except Exception as error:
            LOG.exception("a split failed", action="split_bug", source=self._normalizer.source)
            raise RecordError("internal", f"{type(error).__name__}: {error}") from error

    def _split_large(self, value: bytes) -> Sequence[bytes]:
        """Cut up a message over the event limit: fine if it is many events, none too large."""
        parts = tuple(self._connector.split(value))
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
        assembler = self._assembler
        assert assembler is not None  # noqa: S101 - the caller checked
        before = assembler.pending()
        events = assembler.feed(parts, offset)
        waiting = assembler.pending() - before
        folded = len(parts) - waiting - len(events)
        self._count(tenant, {"in": len(parts) - len(events), "pending": waiting, "folded": folded})
        return events

    def _normalize(self, units: list[Unit], first: int, last: int, letters: list[Letter]) -> Output:
        """Normalize units and turn the results into records to produce."""
        batches, bad = self._normalizer.normalize(units, self._place, first, last)
        counts: dict[str, dict[str, int]] = defaultdict(
            lambda: {"in": 0, "out": 0, "dead_lettered": 0}
        )
        for unit in units:
            counts[unit.tenant]["in"] += 1
        for unit, error in bad:
            counts[unit.tenant]["dead_lettered"] += 1
            letters.append(self._letter(unit.raw, unit.tenant, unit.place, unit.origin, error))
        for tenant, row in counts.items():
            row["out"] = row["in"] - row["dead_lettered"]
            self._count(tenant, row)
        records = [
            Outgoing("events", batch.encode(), partition=partition) for partition, batch in batches
        ]
        return Output(records + [item.outgoing() for item in letters])

    def waiting(self) -> bool:
        """Return whether incomplete events are held back."""
        return self._assembler is not None and self._assembler.pending() > 0

    def flush(self, next_offset: int) -> Output:
        """Let incomplete events go; their sequence lies between the last offset and the next."""
        assert self._assembler is not None  # noqa: S101 - only called when waiting
        pending = self._assembler.pending()
        events = self._assembler.flush()
        tenant, arrived = self._last
        self._count(
            tenant, {"pending": -pending, "folded": pending - len(events), "in": -len(events)}
        )
        sequence = 2 * next_offset - 1
        origin = Origin(*self._place, next_offset - 1)
        places = [origin._replace(unit=-1 - index) for index in range(len(events))]
        units = [
            Unit(raw, tenant, place, place, sequence, arrived)
            for raw, place in zip(events, places, strict=True)
        ]
        return self._normalize(units, sequence, sequence, [])

    def _count(self, tenant: str, counts: dict[str, int]) -> None:
        """Add to the ledger."""
        self.ledger.add("normalize", tenant, self._normalizer.source, counts)

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
        if self._assembler is None:
            return b""
        return msgspec.msgpack.encode((self._place, self._last, self._assembler.snapshot()))

    def restore(self, state: bytes) -> None:
        """Take up what `snapshot` returned."""
        place, last, assembler = msgspec.msgpack.decode(
            state, type=tuple[tuple[str, int], tuple[str, int], bytes]
        )
        self._place, self._last = place, last
        if self._assembler is not None:
            self._assembler.restore(assembler)


def _part(origin: Origin, index: int) -> Origin:
    """Return the origin of the unit at `index` of a message; a replayed one was a unit before."""
    return origin._replace(unit=origin.unit + index)


def _from_headers(
    headers: Iterable[tuple[str, bytes]], tenant: str, origin: Origin
) -> tuple[str, Origin]:
    """Return tenant and origin where the producer, or a replayed dead letter, states them."""
    for name, value in headers:
        if name == TENANT_HEADER and value:
            tenant = value.decode("utf-8", "replace")[:128]
        elif name == ORIGIN_HEADER:
            origin = Origin.parse(value) or origin
    return tenant, origin


class NormalizeStage(Stage):
    """Reads ``raw.*``, writes ``events`` and ``dead_letter``."""

    name = "normalize"

    def __init__(
        self,
        settings: Settings,
        connectors: Mapping[str, type[Connector]],
        rules: RuleSet,
        partitions: int,
    ) -> None:
        self._max = settings.max_event_bytes
        self._connectors = {name: cls() for name, cls in connectors.items()}
        started = time.perf_counter()
        self.normalizers = {
            name: Normalizer(name, connector, rules, partitions)
            for name, connector in self._connectors.items()
        }
        LOG.debug("rules compiled", action="rules", seconds=time.perf_counter() - started)

    def topics(self) -> list[str]:
        """Return one raw topic a connector."""
        return [topics.raw(name) for name in self._connectors]

    def task(self, topic: str, partition: int) -> Task:
        """Return the task of a raw partition."""
        source = topics.source_of(topic)
        return NormalizeTask(self.normalizers[source], self._connectors[source], self._max)
