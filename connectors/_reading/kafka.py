"""A topic of this or another Kafka: any JSON, lines, or what a source writes."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any, ClassVar, Final, Literal

from pydantic import Field, SecretStr

from connectors._reading.base import (
    Check,
    DeniedError,
    Page,
    Position,
    Reader,
    ReaderSettings,
    Record,
    SourceError,
)
from connectors._reading.paging import PAGE_RECORDS, Pile

TIMEOUT_S: Final = 15.0
#: Seconds without a record after which what there is goes on.
PATIENCE_S: Final = 0.2


class KafkaSettings(ReaderSettings):
    """Which topics, where, and how to log on."""

    bootstrap: str = Field(description="Bootstrap servers, host:port separated by commas.")
    topics: list[str] = Field(min_length=1, description="Names of the topics.")
    group: str = Field(
        "sentinel.connector",
        description="Consumer group to be allowed; nothing is committed to it.",
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="librdkafka security.protocol."
    )
    sasl_mechanism: str = Field("", description="librdkafka sasl.mechanism (PLAIN, SCRAM-SHA-512).")
    sasl_username: str = Field("", description="librdkafka sasl.username.")
    sasl_password: SecretStr = Field(SecretStr(""), description="librdkafka sasl.password.")
    ssl_ca: str = Field("", description="librdkafka ssl.ca.location.")
    ssl_certificate: str = Field("", description="librdkafka ssl.certificate.location.")
    ssl_key: str = Field("", description="librdkafka ssl.key.location.")
    poll_s: float = Field(5.0, gt=0, description="Seconds of silence after which partitions are "
                          "looked for anew.")  # fmt: skip


class KafkaReader(Reader):
    """Topics of any Kafka, a record a message; Event Hubs too, at their Kafka endpoint.

    The position is the next offset of each partition. Records carry
    ``kafka:topic/partition/offset``, keys are kept. Empty messages, and those
    that retention took before they were read, are counted.
    """

    Settings: ClassVar[type[ReaderSettings]] = KafkaSettings
    settings: KafkaSettings
    waits: ClassVar[bool] = True

    def _config(self) -> dict[str, Any]:
        chosen = self.settings
        given = {
            "bootstrap.servers": chosen.bootstrap,
            "security.protocol": chosen.security_protocol,
            "sasl.mechanism": chosen.sasl_mechanism,
            "sasl.username": chosen.sasl_username,
            "sasl.password": chosen.sasl_password.get_secret_value(),
            "ssl.ca.location": chosen.ssl_ca,
            "ssl.certificate.location": chosen.ssl_certificate,
            "ssl.key.location": chosen.ssl_key,
        }
        return {key: value for key, value in given.items() if value} | {
            "group.id": chosen.group,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "fetch.message.max.bytes": 1 << 20,
            "queued.max.messages.kbytes": 16 * 1024,
            "allow.auto.create.topics": False,
            "reconnect.backoff.ms": 1000,
            "reconnect.backoff.max.ms": 10_000,
            "logger": logging.getLogger("librdkafka"),
        }

    def read(self, position: Position | None) -> Iterator[Page]:
        """Yield messages until there was none for `poll_s`.

        Raises
        ------
        DeniedError
            The broker refused us.
        SourceError
            It cannot be reached, or a topic is missing.
        """
        from confluent_kafka import Consumer, KafkaException

        failures: list[str] = []
        config = self._config() | {"error_cb": lambda error: failures.append(str(error))}
        consumer = Consumer(config)
        try:
            pile = Pile()
            offsets = self._assign(consumer, position or {}, pile)
            yield from self._consume(consumer, offsets, pile)
        except KafkaException as error:
            raise _failure(error, failures) from error
        finally:
            consumer.close()

    def _assign(self, consumer: Any, position: Position, pile: Pile) -> dict[str, int]:
        """Take all partitions from where reading goes on; return the next offsets known."""
        from confluent_kafka import OFFSET_BEGINNING, TopicPartition

        places, known = [], dict(position.get("offsets", {}))
        since = self.settings.since
        for topic in self.settings.topics:
            found = consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic]
            if found.error is not None:
                raise _topic_failure(topic, found.error)
            fresh = [p for p in found.partitions if f"{topic}/{p}" not in known]
            if since and fresh:
                asked = [TopicPartition(topic, p, int(since.timestamp() * 1000)) for p in fresh]
                known |= {
                    f"{topic}/{p.partition}": p.offset
                    for p in consumer.offsets_for_times(asked, timeout=TIMEOUT_S)
                    if p.offset >= 0
                }
            places += [
                TopicPartition(topic, p, known.get(f"{topic}/{p}", OFFSET_BEGINNING))
                for p in found.partitions
            ]
        for place in places:
            if place.offset >= 0:
                lowest, _ = consumer.get_watermark_offsets(place, timeout=TIMEOUT_S)
                if lowest > place.offset:  # retention was quicker than we
                    pile.skip("lost", lowest - place.offset)
                    place.offset = known[f"{place.topic}/{place.partition}"] = lowest
        consumer.assign(places)
        return known

    def _consume(self, consumer: Any, offsets: dict[str, int], pile: Pile) -> Iterator[Page]:
        """Yield pages until every partition was at its end for `poll_s`."""
        heard, newest = time.monotonic(), 0
        behind = {(place.topic, place.partition) for place in consumer.assignment()}
        while not self.stopping.is_set():
            messages = consumer.consume(PAGE_RECORDS, PATIENCE_S)
            for message in messages:
                if message.error() is not None:
                    _check(message.error())
                    behind.discard((message.topic(), message.partition()))
                    continue
                newest, heard = message.timestamp()[1], time.monotonic()
                if self._take(message, offsets, pile):
                    yield self._page(offsets, pile, newest)
            if pile:
                yield self._page(offsets, pile, newest)
            silence = time.monotonic() - heard
            if behind and silence > TIMEOUT_S:
                raise SourceError(f"expected an answer within {TIMEOUT_S:.0f} s, found none")
            if not behind and silence > self.settings.poll_s:
                return

    @staticmethod
    def _take(message: Any, offsets: dict[str, int], pile: Pile) -> bool:
        """Pile up a message; return whether the page is full."""
        place, offset = f"{message.topic()}/{message.partition()}", message.offset()
        expected = offsets.get(place, offset)
        if offset < expected:
            pile.skip("seen_before")
            return False
        offsets[place] = offset + 1
        value = message.value()
        if not value:
            pile.skip("empty")
            return False
        return pile.add(Record(value, f"kafka:{place}/{offset}", message.key()))

    @staticmethod
    def _page(offsets: dict[str, int], pile: Pile, newest: int) -> Page:
        """Return a page, with how far its newest message is behind."""
        lag = max(0.0, time.time() - newest / 1000) if newest > 0 else None
        return pile.page({"offsets": dict(offsets)}, lag)

    def check(self) -> Iterator[Check]:
        """Ask for each topic."""
        from confluent_kafka import Consumer, KafkaException

        failures: list[str] = []
        consumer = Consumer(self._config() | {"error_cb": lambda e: failures.append(str(e))})
        try:
            for topic in self.settings.topics:
                what = f"read {topic} at {self.settings.bootstrap}"
                try:
                    found = consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic]
                except KafkaException as error:
                    yield Check(what, ok=False, detail=str(_failure(error, failures)))
                    continue
                if found.error is not None:
                    yield Check(what, ok=False, detail=str(_topic_failure(topic, found.error)))
                else:
                    yield Check(what, ok=True, detail=f"{len(found.partitions)} partitions")
        finally:
            consumer.close()


def _denied(error: Any) -> bool:
    text = str(error).upper()
    return any(word in text for word in ("AUTHENTICATION", "AUTHORIZATION", "SASL"))


def _failure(error: Any, heard: list[str]) -> SourceError:
    """Return what to raise, with what the client said meanwhile."""
    told = f"the broker did not answer as expected: {error}" + (f" ({heard[-1]})" if heard else "")
    if _denied(f"{error} {heard}"):
        return DeniedError(f"{told}; check security_protocol, sasl_* and the ACLs")
    return SourceError(f"{told}; check bootstrap and security_protocol")


def _topic_failure(topic: str, error: Any) -> SourceError:
    if _denied(error):
        return DeniedError(f"expected to read {topic}, found {error}: grant READ and DESCRIBE")
    return SourceError(f"expected the topic {topic}, found {error}")


def _check(error: Any) -> None:
    """Raise for an error that a message carries; the end of a partition is none."""
    from confluent_kafka import KafkaError

    if error.code() == KafkaError._PARTITION_EOF:
        return
    if _denied(error):
        raise DeniedError(f"expected to read, the broker refused: {error}; check the ACLs")
    if not error.retriable():
        raise SourceError(f"expected messages, found {error}")
