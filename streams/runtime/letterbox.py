"""What people do with dead letters: list, show, send again after a fix, discard.

A letter is known by its place in the topic, ``partition/offset``. Its row says where it
came from and why; the record itself is read back from the topic. Sending it again puts
the original bytes into their source's topic with a header that names where they first
were, so that the event's id, and with it every alert's, is what it would have been:
what was handled before is recognised, not doubled.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

from confluent_kafka import Consumer, TopicPartition

from sentinel import postgres
from sentinel.errors import KafkaError, SettingsError
from sentinel.kafka import Producer, client_config
from sentinel.settings import Settings
from sentinel.topics import RAW_PREFIX
from streams.normalize import ORIGIN_HEADER, RECORD_HEADER, TENANT_HEADER
from streams.runtime.letters import TOPIC, Origin

SQL = postgres.queries(Path(__file__).with_suffix(".sql"))
#: Seconds to wait for one record of the topic.
READ_S = 20.0
STATUSES = ("new", "replayed", "discarded")


class Letter(NamedTuple):
    """One dead letter, as its row says; `value` is the beginning of the record."""

    id: str
    status: str
    stage: str
    reason: str
    detail: str
    tenant: str
    source: str
    origin: str
    time: datetime
    size: int
    value: bytes


class Record(NamedTuple):
    """The whole record, from the topic."""

    value: bytes
    headers: dict[str, str]


class Letterbox:
    """Access to the dead letters of a running stack; close it after use."""

    def __init__(self, settings: Settings, pool: Any) -> None:
        self._settings = settings
        self._pool = pool

    @classmethod
    async def open(cls, settings: Settings) -> Self:
        """Connect to the stores that `settings` name."""
        pool = await postgres.open_pool(
            settings.postgres, postgres.WORKER, tenant=postgres.ALL_TENANTS, size=1
        )
        return cls(settings, pool)

    async def close(self) -> None:
        """Disconnect."""
        await self._pool.close()

    async def search(
        self, status: str = "", reason: str = "", stage: str = "", source: str = ""
    ) -> list[Letter]:
        """Return the letters that fit, oldest first; an empty string fits all."""
        rows = await self._pool.fetch(SQL["list"], status, reason, stage, source)
        return [Letter(**row) for row in rows]

    async def find(self, ids: Sequence[str]) -> list[Letter]:
        """Return the letters with these ids, in their order.

        Raises
        ------
        SettingsError
            There is none with one of them.
        """
        rows = await self._pool.fetch(SQL["find"], [_offset(ident) for ident in ids])
        found = {row["id"]: Letter(**row) for row in rows}
        if missing := [ident for ident in ids if ident not in found]:
            raise SettingsError(
                f"expected ids of dead letters, found none for {', '.join(missing)}; "
                "`sentinel dead-letters list` shows them"
            )
        return [found[ident] for ident in ids]

    def read(self, ids: Sequence[str]) -> list[Record]:
        """Read the whole records back from the topic; blocks.

        Raises
        ------
        KafkaError
            A record is gone (retention), or the broker did not answer in time.
        """
        config = client_config(self._settings) | {
            "group.id": "sentinel.letterbox",
            "enable.auto.commit": False,
            "fetch.message.max.bytes": 32 << 20,
            "auto.offset.reset": "error",
        }
        consumer = Consumer(config)
        try:
            return [self._read(consumer, *_place(ident)) for ident in ids]
        finally:
            consumer.close()

    @staticmethod
    def _read(consumer: Consumer, partition: int, offset: int) -> Record:
        consumer.assign([TopicPartition(TOPIC, partition, offset)])
        message = consumer.poll(READ_S)
        if message is None or message.error() or message.offset() != offset:
            found = "none" if message is None else message.error() or message.offset()
            raise KafkaError(
                f"expected the dead letter {partition}/{offset} in the topic, found {found}; "
                "it is gone after the topic's retention (`sentinel topics`)"
            )
        headers = dict(message.headers() or ())
        text = {
            name: (data if isinstance(data, str) else bytes(data or b"").decode())
            for name, data in headers.items()
        }
        return Record(message.value() or b"", text)

    async def replay(self, letters: Sequence[Letter]) -> int:
        """Send letters to the topics they came from, mark them, and return how many there were.

        The mark is set after the broker has them. A crash in between leaves them marked
        new: sent again they are recognised as duplicates.

        Raises
        ------
        SettingsError
            One was not refused by normalize, so there is no source to send it to.
        """
        for letter in letters:
            if not letter.origin.startswith(RAW_PREFIX):
                raise SettingsError(
                    f"expected letters from a {RAW_PREFIX}* topic, found {letter.id} from "
                    f"{letter.origin}: what stages write among themselves is made anew from there"
                )
        records = self.read([letter.id for letter in letters])
        producer = Producer(self._settings)
        try:
            for letter, record in zip(letters, records, strict=True):
                origin = record.headers.get(ORIGIN_HEADER, letter.origin)
                headers = {TENANT_HEADER: letter.tenant, ORIGIN_HEADER: origin}
                if name := record.headers.get(RECORD_HEADER):
                    headers[RECORD_HEADER] = name
                topic, partition = letter.origin.split("/")[:2]
                producer.send(topic, record.value, partition=int(partition), headers=headers)
            await producer.flush()
        finally:
            producer.close()
        return await self.mark(letters, "replayed")

    async def mark(self, letters: Sequence[Letter], status: str) -> int:
        """Set the status of letters; return how many there were."""
        done = await self._pool.execute(
            SQL["mark"], [_offset(letter.id) for letter in letters], status
        )
        return int(done.split()[-1])


def _place(ident: str) -> tuple[int, int]:
    """Read an id, ``partition/offset``."""
    origin = Origin.parse(f"{TOPIC}/{ident}/0".encode())
    if origin is None:
        raise SettingsError(
            f"expected an id such as 0/17 (partition/offset), found {ident!r}; "
            "`sentinel dead-letters list` shows them"
        )
    return origin.partition, origin.offset


def _offset(ident: str) -> str:
    """Check an id before it is asked for."""
    partition, offset = _place(ident)
    return f"{partition}/{offset}"
