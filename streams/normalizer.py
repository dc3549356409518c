"""The pure part of normalize: raw events of one source in, batches of columns out.

Stateless work happens here, once, while the source's own fields are decoded. What goes
on is a batch of columns per events partition (`schemas.batch`), keyed by tenant and
acting entity, the raw bytes with it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from connectors.base import Columns, Connector
from detectors.correlation import WINDOW_MS, extract
from detectors.enrich.enricher import Enricher
from detectors.explain import rule_explanation
from detectors.match import Matcher
from detectors.online.signals import Subject, subject
from detectors.sigma import Rule, RuleSet
from schemas.batch import EventBatch, Hit, RuleRef, Strings
from schemas.columns import lexicon, sha  # noqa: F401 - to compile now, not when a batch waits
from schemas.columns.records import Texts
from schemas.identity import event_uids, uid_text
from sentinel import log
from sentinel.errors import RecordError
from streams.policy.known import Knowing, asks, asks_dst, own, possible
from streams.policy.suppressions import Board
from streams.runtime import telemetry
from streams.runtime.letters import Origin

LOG = log.get(__name__)
#: Entities whose partition, and subjects whose explanation is remembered; cleared when full.
MAX_ROUTES = 100_000
Place = tuple[str, int]
Batches = list[tuple[int, EventBatch]]


@dataclass(slots=True)
class Units:
    """Raw events on their way through, column by column.

    Attributes
    ----------
    raws, tenants
        The bytes, and whose they are.
    offsets, parts
        Where each is: offset of its message and its place in it; no `parts`: all are 0.
    sequences
        Its raw sequence, see ``event_batch.avsc``.
    arrived
        When its message arrived, ms since the epoch.
    origins
        Where it first was, by row, of replayed dead letters: an id that is made from the
        place stays what it was.
    records
        The name that its message has at the source, by row, where it has one: ids are made
        from it instead of from the place, so that what is read twice is the same event.
    """

    raws: list[bytes] = field(default_factory=list)
    tenants: list[str] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    sequences: list[int] = field(default_factory=list)
    arrived: list[int] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)
    origins: dict[int, Origin] = field(default_factory=dict)
    records: dict[int, str] = field(default_factory=dict)

    def add(
        self, raw: bytes, tenant: str, offset: int, part: int, sequence: int, arrived: int
    ) -> None:
        """Append one unit."""
        self.raws.append(raw)
        self.tenants.append(tenant)
        self.offsets.append(offset)
        self.parts.append(part)
        self.sequences.append(sequence)
        self.arrived.append(arrived)

    def place(self, row: int, place: Place) -> Origin:
        """Return where a unit is, in the raw partition `place`."""
        return Origin(*place, self.offsets[row], self.parts[row] if self.parts else 0)

    def origin(self, row: int, place: Place) -> Origin:
        """Return where a unit first was."""
        return self.origins.get(row) or self.place(row, place)

    def name(self, row: int, place: Place) -> str:
        """Return what the id of a unit is made of where its source gives it none."""
        origin = self.origin(row, place)
        record = self.records.get(row)
        return f"{record}#{origin.unit}" if record else origin.text

    def keep(self, rows: Sequence[int]) -> Units:
        """Return the units at `rows`."""
        where = {old: new for new, old in enumerate(rows)}
        return Units(
            raws=[self.raws[row] for row in rows],
            tenants=[self.tenants[row] for row in rows],
            offsets=[self.offsets[row] for row in rows],
            sequences=[self.sequences[row] for row in rows],
            arrived=[self.arrived[row] for row in rows],
            parts=[self.parts[row] for row in rows] if self.parts else [],
            origins={where[row]: o for row, o in self.origins.items() if row in where},
            records={where[row]: name for row, name in self.records.items() if row in where},
        )


class Compiled(NamedTuple):
    """Rules as a normalizer uses them; `knowing` where some ask for what look-ups know."""

    decoder: Any
    matcher: Matcher
    extractor: extract.Extractor
    knowing: Knowing | None


class Normalizer:
    """Decodes, summarises, matches and groups raw events of one source.

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
    window_ms
        Window in which hits fold into one alert: one of them is explained.
    board
        Has what tenants set of rules.
    enricher
        Gives what look-ups know: rules ask for it (`streams.policy.known`), and indicators
        weigh in what models say (`detectors.score`).
    """

    def __init__(
        self,
        source: str,
        connector: Connector,
        rules: RuleSet,
        partitions: int,
        window_ms: int = WINDOW_MS,
        board: Board | None = None,
        enricher: Callable[[], Enricher | None] = lambda: None,
    ) -> None:
        self._window_ms = window_ms
        self._enricher = enricher
        self._board = board or Board()
        self.source = source
        self._connector = connector
        self._partitions = partitions
        self.use(self.compiled(rules))
        self._routes: dict[tuple[str, str], int] = {}
        self._explained: set[tuple[str, str, str, int]] = set()

    def compiled(self, rules: RuleSet) -> Compiled:
        """Compile rules for `use`; takes long, changes nothing, may run on another thread."""
        selected = possible(rules.select(self._connector.logsources), self._enricher())
        fields = frozenset[str]().union(*(rule.fields for rule in selected.rules))
        grouped = extract.fields(rules.plan, selected.rules)
        destinations = self._connector.destinations if asks_dst(fields | grouped) else ()
        decoder = self._connector.decoder(own(fields | grouped).union(destinations))
        if not asks(fields | grouped):
            extractor = extract.Extractor(rules.plan, selected.rules, decoder.getter)
            return Compiled(decoder, selected.reading(decoder), extractor, None)
        plain = RuleSet((rule for rule in selected.rules if not asks(rule.fields)), (), rules.plan)
        asking = (rule for rule in selected.rules if asks(rule.fields))
        knowing = Knowing(asking, decoder, self._enricher(), destinations)
        extractor = extract.Extractor(rules.plan, selected.rules, knowing.getter)
        return Compiled(decoder, plain.reading(decoder), extractor, knowing)

    def use(self, compiled: Compiled) -> None:
        """Match by these rules from the next batch on."""
        self._decoder, self.matcher, self._extractor, self._knowing = compiled

    def quickly(self, units: Units, place: Place, first: int, last: int) -> Batches | None:
        """Normalize units if each is one good event, as nearly all are; None if not."""
        try:
            decoded = self._connector.decode_all(self._decoder, units.raws)
            columns = self._connector.columns(decoded)
        except Exception:  # noqa: BLE001 - whichever it was, `normalize` names it
            return None
        return self._finish(units, decoded, columns, place, first, last)

    def normalize(
        self, units: Units, place: Place, first: int, last: int
    ) -> tuple[Batches, list[tuple[int, RecordError]]]:
        """Normalize units one by one, and name those that cannot be, by row.

        Parameters
        ----------
        place
            Raw topic and partition.
        first, last
            Raw sequence range that the units cover completely.
        """
        decode, summarise = self._decoder.decode, self._connector.summarise
        good, decoded, summaries = list[int](), list[Any](), list[Any]()
        bad: list[tuple[int, RecordError]] = []
        for row, raw in enumerate(units.raws):
            try:
                event = decode(raw)
                summary = summarise(event)
            except RecordError as error:
                bad.append((row, error))
            except Exception as error:
                LOG.exception("a mapping failed", action="mapping_bug", source=self.source)
                bad.append((row, RecordError("internal", f"{type(error).__name__}: {error}")))
            else:
                good.append(row)
                decoded.append(event)
                summaries.append(summary)
        if not good:
            return [], bad
        kept = units.keep(good) if bad else units
        columns: Columns = list(zip(*summaries, strict=True))
        return self._finish(kept, decoded, columns, place, first, last), bad

    def _finish(
        self,
        units: Units,
        decoded: Sequence[Any],
        columns: Columns,
        place: Place,
        first: int,
        last: int,
    ) -> Batches:
        """Match decoded events and group them by events partition."""
        whole = self._columns(units, columns, place, first, last)
        whole.weight = self._weight(whole)
        self._match(whole, decoded)
        routes = self._route(whole)
        counts = np.bincount(routes, minlength=1)
        used = np.flatnonzero(counts).tolist()
        if len(used) == 1:
            return [(used[0], whole)]
        order = np.argsort(routes, kind="stable")
        return list(zip(used, whole.split(order, counts[used].tolist(), first, last), strict=True))

    def _columns(
        self, units: Units, columns: Columns, place: Place, first: int, last: int
    ) -> EventBatch:
        """Turn the columns of summaries into those of a batch."""
        (
            native, times, classes, activities, statuses, severities,
            entity, operation, service, src_ip, user_agent, region,
        ) = columns  # fmt: skip
        if not isinstance(native, Texts) and None in native:
            native = [ident or units.name(row, place) for row, ident in enumerate(native)]
        raws = units.raws
        return EventBatch(
            source=self.source,
            origin_topic=place[0],
            origin_partition=place[1],
            origin_first=first,
            origin_last=last,
            uid=event_uids(units.tenants, self.source, native),
            time=np.array(times, dtype=np.int64),
            arrived=np.array(units.arrived, dtype=np.int64),
            origin=np.array(units.sequences, dtype=np.int64),
            class_uid=np.array(classes, dtype=np.int32),
            activity_id=np.array(activities, dtype=np.int32),
            status_id=np.array(statuses, dtype=np.int32),
            severity_id=np.array(severities, dtype=np.int32),
            tenant=Strings.of(units.tenants),
            entity=_strings(entity),
            operation=_strings(operation),
            service=_strings(service),
            src_ip=_strings(src_ip),
            user_agent=_strings(user_agent),
            region=_strings(region),
            raw=raws,
            raw_end=np.cumsum(np.fromiter(map(len, raws), np.int64, len(raws))),
        )

    def _weight(self, batch: EventBatch) -> NDArray[np.float32] | None:
        """Return how bad source addresses and actors are known to be; None: of none it is."""
        if (enricher := self._enricher()) is None:
            return None
        src, entity = (enricher.weights(each.values) for each in (batch.src_ip, batch.entity))
        if not src.any() and not entity.any():
            return None
        return np.maximum(src[batch.src_ip.index], entity[batch.entity.index])

    def _match(self, batch: EventBatch, decoded: Sequence[Any]) -> None:
        """Find the rules that the events match and note them in the batch."""
        refs: dict[Rule, int] = {}
        explained: set[Subject] = set()
        hits, errors, events = self.matcher.match(decoded), self.matcher.errors, decoded
        if self._knowing is not None:
            events = known = self._knowing.events(batch, decoded)
            hits += self._knowing.match(known)
            hits.sort(key=itemgetter(0))
            errors = errors + self._knowing.errors
        if hits and (tunings := self._board.policy.tunings):
            hits = tunings.hits(hits, batch)
        for row, rule_id, error in errors:
            # The event goes on, other rules have seen it; the failure is counted and named.
            telemetry.failed("normalize", self.source, "rule")
            LOG.error(
                "a rule failed on an event",
                action="rule_error",
                rule=rule_id,
                uid=uid_text(batch.uid_of(row)),
                error=repr(error),
            )
        batch.joins = self._extractor.joins(batch, events, hits) if hits else None
        silent = self._extractor.silent
        for row, rule in hits:
            if rule.id in silent:
                continue  # a correlation names it: it raises no alert of its own
            place = refs.setdefault(rule, len(refs))
            if place == len(batch.rules):
                batch.rules.append(_ref(rule))
            key = subject(batch, row, place, self._window_ms)
            text = ""
            if key not in explained and self._news(explained, key, batch, rule):
                uid = uid_text(batch.uid_of(row))
                text = rule_explanation(batch.rules[place], self._why(events[row], rule), [uid])
            batch.hits.append(Hit(row, place, text))

    def _news(self, explained: set[Subject], key: Subject, batch: EventBatch, rule: Rule) -> bool:
        """Say whether hits of a subject have not been explained, in this batch or before.

        Whoever reads has had the batch that explained them: from one process, events of one
        entity arrive in the order in which they were sent. Another process explains anew.
        """
        explained.add(key)
        _, tenant, entity, window = key
        known = (rule.id, batch.tenant.values[tenant], batch.entity.values[entity], window)
        if known in self._explained:
            return False
        if len(self._explained) >= MAX_ROUTES:
            self._explained.clear()
        self._explained.add(known)
        return True

    def _why(self, event: Any, rule: Rule) -> dict[str, Any]:
        """Return what of a rule matched; nothing where that cannot be told, the hit counts."""
        try:
            if self._knowing is None:
                return self.matcher.explain(event, rule)
            if asks(rule.fields):
                return self._knowing.matcher.explain(event, rule)
            return self.matcher.explain(event.event, rule)
        except Exception:
            LOG.exception("a match has no explanation", action="explain_bug", rule=rule.id)
            return {}

    def _route(self, batch: EventBatch) -> NDArray[np.int64]:
        """Return the events partition of each event: a hash of tenant and acting entity.

        Worked out once for each pair of tenant and entity in the batch.
        """
        routes = self._routes
        if len(routes) > MAX_ROUTES:
            routes.clear()
        width = len(batch.entity.values)
        pairs = batch.tenant.index.astype(np.int64) * width + batch.entity.index
        table = np.zeros(len(batch.tenant.values) * width, np.int64)
        for pair in np.flatnonzero(np.bincount(pairs, minlength=len(table))).tolist():
            key = (batch.tenant.values[pair // width], batch.entity.values[pair % width])
            partition = routes.get(key)
            if partition is None:
                partition = routes[key] = partition_of(*key, self._partitions)
            table[pair] = partition
        found: NDArray[np.int64] = table[pairs]
        return found


def partition_of(tenant: str, group: str, partitions: int) -> int:
    """Return the partition of a key; CRC-32, so it is the same in every process and release."""
    return zlib.crc32(f"{tenant}\x1f{group}".encode(errors="surrogatepass")) % partitions


def _strings(column: Sequence[str] | Strings) -> Strings:
    """Return a column of texts as it travels."""
    return column if isinstance(column, Strings) else Strings.of(column)


def _ref(rule: Rule) -> RuleRef:
    """Return what travels of a rule."""
    return RuleRef(rule.id, rule.title, rule.severity_id, tuple(rule.techniques), rule.staged)
