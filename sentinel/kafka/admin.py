"""Topics on the broker: made and kept as the table in `sentinel.topics` says, and shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar

import stamina
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it lists no __all__
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
)

from sentinel import errors, log
from sentinel.kafka.cluster import TIMEOUT_S, reach
from sentinel.settings import Settings
from sentinel.topics import BY_NAME, MIB, RAW_PREFIX, TOPICS, Topic, raw

T = TypeVar("T")

BROKER_DEFAULT = -1
#: Small segments, since the one that is written to is never compacted.
COMPACTION = {"segment.bytes": str(16 * MIB), "min.cleanable.dirty.ratio": "0.2"}
_PASSING = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.OFFSET_NOT_AVAILABLE,
    # who was asked knows of another leader than the client does, an earlier or a later one
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError._NOENT,  # no leader of any of them is known
}
_log = log.get("kafka.admin")


class TopicState(NamedTuple):
    """A topic as the broker has it.

    Attributes
    ----------
    partitions
        How many there are; 0 where the topic does not exist.
    start, end
        First offset still kept and next offset to be written, by partition.
    retention_ms
        As the broker applies it; -1 for ever.
    """

    name: str
    exists: bool
    partitions: int
    start: list[int]
    end: list[int]
    retention_ms: int
    max_bytes: int
    key: str
    schema: str
    writer: str
    readers: tuple[str, ...]


def topic_config(row: Topic) -> dict[str, str]:
    """Return the broker's settings of a topic.

    Timestamps are the broker's: a producer that stamps events with their event time
    would otherwise make retention delete old logs as soon as they arrive.
    """
    policies = ["compact"] * row.compact + ["delete"] * (not row.compact or row.retention_ms > 0)
    more = COMPACTION if row.compact else {}
    return more | {
        "cleanup.policy": ",".join(policies),
        "retention.ms": str(row.retention_ms),
        "max.message.bytes": str(row.max_bytes),
        "message.timestamp.type": "LogAppendTime",
    }


def expand(sources: Iterable[str], names: Iterable[str] | None = None) -> dict[str, Topic]:
    """Return the table with ``raw.*`` put in full, by topic name, only `names` if given.

    Raises
    ------
    KafkaError
        A name is not in the table.
    """
    table = {row.name: row for row in TOPICS if row.name != "raw.*"}
    table = {raw(source): BY_NAME["raw.*"] for source in sources} | table
    if names is None:
        return table
    wanted = list(names)
    if unknown := [name for name in wanted if name not in table]:
        raise errors.KafkaError(
            f"expected topics of the table, found {', '.join(unknown)}; there are: "
            f"{', '.join(table)}"
        )
    return {name: table[name] for name in wanted}


def create_topics(
    settings: Settings, sources: Iterable[str], names: Iterable[str] | None = None
) -> list[str]:
    """Make the topics that are missing and bring the settings of the others up to date.

    Running it again changes nothing. The number of partitions of a topic that exists
    is left alone, more or fewer: keyed state lives in the partitions.

    Parameters
    ----------
    sources
        Names of the connectors, for ``raw.<source>``.
    names
        Only these topics of the table; None for all.

    Returns
    -------
    list of str
        Topics that were made or changed, sorted; empty when all was right already.

    Raises
    ------
    KafkaError
        The broker cannot be reached within 30 s, or refuses; see `reach`.
    """
    rows = expand(sources, names)
    admin, there = reach(settings)
    made = _create(admin, {n: row for n, row in rows.items() if n not in there}, settings)
    changed = _update(admin, {n: row for n, row in rows.items() if n in there})
    return sorted(made + changed)


def describe_topics(settings: Settings, sources: Iterable[str] = ()) -> list[TopicState]:
    """Return the state of every topic of the table, and of every ``raw.*`` there is.

    Raises
    ------
    KafkaError
        The broker cannot be reached within 30 s, or refuses; see `reach`.
    """
    admin, there = reach(settings)
    found = {name.removeprefix(RAW_PREFIX) for name in there if name.startswith(RAW_PREFIX)}
    rows = expand(sorted(found | set(sources)))
    live = {name: there[name] for name in rows if name in there}
    start = _offsets(admin, live, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
    end = _offsets(admin, live, OffsetSpec.latest())  # type: ignore[no-untyped-call]
    config = _configs(admin, list(live))
    return [
        TopicState(
            name=name,
            exists=name in live,
            partitions=live.get(name, 0),
            start=[start[name, p] for p in range(live.get(name, 0))],
            end=[end[name, p] for p in range(live.get(name, 0))],
            retention_ms=int(config.get(name, {}).get("retention.ms", row.retention_ms)),
            max_bytes=int(config.get(name, {}).get("max.message.bytes", row.max_bytes)),
            key=row.key,
            schema=row.schema,
            writer=row.writer,
            readers=row.readers,
        )
        for name, row in rows.items()
    ]


def _create(admin: AdminClient, rows: Mapping[str, Topic], settings: Settings) -> list[str]:
    if not rows:
        return []
    new = [
        NewTopic(
            name,
            num_partitions=settings.partitions,
            replication_factor=BROKER_DEFAULT,
            config=topic_config(row),
        )
        for name, row in rows.items()
    ]
    made = []
    for name, future in admin.create_topics(new, operation_timeout=TIMEOUT_S).items():
        if _outcome(future, f"topic {name}", KafkaError.TOPIC_ALREADY_EXISTS):
            _log.info("created", action="topic_create", topic=name, partitions=settings.partitions)
            made.append(name)
    return made


def _update(admin: AdminClient, rows: Mapping[str, Topic]) -> list[str]:
    present = _configs(admin, list(rows))
    resources = []
    for name, row in rows.items():
        wanted = topic_config(row).items()
        entries = [
            ConfigEntry(option, value, incremental_operation=AlterConfigOpType.SET)
            for option, value in wanted
            if present[name].get(option) != value
        ]
        if entries:
            resource = ConfigResource(ConfigResource.Type.TOPIC, name)
            resource.incremental_configs = entries
            resources.append(resource)
    if not resources:
        return []
    for resource, future in admin.incremental_alter_configs(resources).items():
        _outcome(future, f"settings of topic {resource.name}")
        _log.info("brought up to date", action="topic_update", topic=resource.name)
    return [resource.name for resource in resources]


def _configs(admin: AdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
    return {
        resource.name: {
            option: entry.value for option, entry in _result(future, "topic settings").items()
        }
        for resource, future in admin.describe_configs(resources).items()
    }


def _offsets(
    admin: AdminClient, partitions: Mapping[str, int], spec: OffsetSpec
) -> dict[tuple[str, int], int]:
    request = {
        TopicPartition(name, p): spec for name, count in partitions.items() for p in range(count)
    }
    if not request:
        return {}
    for attempt in stamina.retry_context(
        on=_PassingError, attempts=None, timeout=TIMEOUT_S, wait_initial=0.05, wait_max=1
    ):
        with attempt:
            if attempt.num > 1:
                _look_again(admin)
            found = {
                (place.topic, place.partition): int(_result(future, "offsets").offset)
                for place, future in admin.list_offsets(request).items()
            }
    return found


def _look_again(admin: AdminClient) -> None:
    """Fetch who leads what: the client goes on believing what it was told during an outage."""
    try:
        admin.list_topics(timeout=TIMEOUT_S)
    except KafkaException as error:
        raise errors.KafkaError(f"the broker did not give its topics: {error}") from error


class _PassingError(errors.KafkaError):
    """A partition is being moved, or was made a moment ago: it is there soon."""


def passes(error: BaseException) -> bool:
    """Say whether a topic that was just made, or is being moved, only needs time."""
    return isinstance(error, KafkaException) and error.args[0].code() in _PASSING


def _result(future: Future[T], what: str) -> T:
    try:
        return future.result(TIMEOUT_S)
    except (KafkaException, TimeoutError) as error:
        if passes(error):
            raise _PassingError(f"the broker is still preparing the {what}: {error}") from error
        raise errors.KafkaError(f"the broker did not give or take the {what}: {error}") from error


def _outcome(future: Future[Any], what: str, fine: int | None = None) -> bool:
    """Wait for `future`; return whether it did something, False where the error is `fine`."""
    try:
        future.result(TIMEOUT_S)
    except KafkaException as error:
        if error.args[0].code() == fine:
            return False
        raise errors.KafkaError(f"the broker refused the {what}: {error}") from error
    return True
