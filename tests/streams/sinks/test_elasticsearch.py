"""The Elasticsearch sink: each document once, and the highest count stands."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from elasticsearch import AsyncElasticsearch, BadRequestError

from sentinel.settings import Settings
from streams.sinks import elasticsearch as module
from streams.sinks.base import AlertEventRow, AlertRow, EventRow, Rows
from streams.sinks.elasticsearch import ElasticsearchSink
from streams.sinks.postgres import PostgresSink

NOW = time.time_ns() // 1_000_000
pytestmark = pytest.mark.e2e


@pytest.fixture
async def sink(elasticsearch: str) -> AsyncIterator[ElasticsearchSink]:
    opened = ElasticsearchSink(Settings(elasticsearch=elasticsearch, postgres=""))
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def client(elasticsearch: str) -> AsyncIterator[AsyncElasticsearch]:
    async with AsyncElasticsearch(elasticsearch) as found:
        yield found


def event(tenant: str, **changes: Any) -> EventRow:
    who = ("ada", "ListBuckets", "s3.amazonaws.com", "192.0.2.1", b"raw")
    row = EventRow(
        tenant, uuid4().bytes, NOW, NOW, "cloudtrail", 6003, 1, 1, 1, *who, b'{\n"class_uid": 6003}'
    )
    return row._replace(**changes)


def alert(tenant: str, count: int, **changes: Any) -> AlertRow:
    new = [AlertEventRow(uuid4().bytes, NOW, NOW, 0.5, "cloudtrail", "{}", b"raw")]
    what = ("rule", "rule-1", "Root logged in", "cloudtrail", 4, 0.5, ["T1078"], "root")
    row = AlertRow(tenant, str(uuid4()), *what, f'{{"n": {count}}}', count, NOW, NOW, new)
    return row._replace(**changes)


async def found(client: AsyncElasticsearch, index: str, tenant: str) -> list[dict[str, Any]]:
    await client.indices.refresh(index=index)
    answer = await client.search(index=index, query={"term": {"tenant": tenant}}, size=1000)
    return [hit["_source"] for hit in answer["hits"]["hits"]]


async def test_an_event_can_be_found_and_is_whole(
    sink: ElasticsearchSink, client: AsyncElasticsearch, tenant: str
) -> None:
    row = event(tenant, time=1_700_000_000_123)
    await sink.write(Rows([row]))
    (document,) = await found(client, "sentinel-v2-events", tenant)
    assert document["uid"] == str(UUID(bytes=row.uid))
    assert document["ocsf"] == {"class_uid": 6003}
    assert document["time"] == 1_700_000_000_123


async def test_an_event_that_arrives_again_is_not_new(sink: ElasticsearchSink, tenant: str) -> None:
    row = event(tenant)
    assert (await sink.write(Rows([row]))).events.total() == 1
    assert not (await sink.write(Rows([row._replace(time=NOW + 86_400_000)]))).events


async def test_events_are_in_an_index_of_their_day_of_arrival_until_it_is_old(
    sink: ElasticsearchSink, client: AsyncElasticsearch, tenant: str, elasticsearch: str
) -> None:
    day = datetime.now(UTC) - timedelta(days=60)
    await sink.write(Rows([event(tenant, arrived=round(day.timestamp() * 1000))]))
    index = f"sentinel-v2-events-{day:%Y.%m.%d}"
    assert len(await found(client, index, tenant)) == 1
    assert len(await found(client, "sentinel-v2-events", tenant)) == 1
    short = ElasticsearchSink(
        Settings(elasticsearch=elasticsearch, postgres="", search_retention_days=50)
    )
    await short.open()
    await short.write(Rows([event(tenant)]))
    await short.close()
    assert not await client.indices.exists(index=index)
    assert len(await found(client, "sentinel-v2-events", tenant)) == 1


async def test_a_document_with_a_field_of_its_own_is_refused(
    sink: ElasticsearchSink, client: AsyncElasticsearch, tenant: str
) -> None:
    await sink.write(Rows([event(tenant)]))
    with pytest.raises(BadRequestError, match="strict_dynamic_mapping"):
        await client.index(index="sentinel-v2-alerts", document={"tenant": tenant, "new": 1})


async def test_switched_on_it_is_filled_with_what_postgres_has(
    client: AsyncElasticsearch, elasticsearch: str, postgres: str, tenant: str
) -> None:
    store = PostgresSink(Settings(postgres=postgres))
    await store.open()
    one = alert(tenant, 2)
    await store.write(Rows([event(tenant, raw=b'{"n": 1}') for _ in range(3)], [one]))
    await store.close()
    state = {"index": "sentinel-v2-state", "id": "backfill", "refresh": True}
    await client.options(ignore_status=404).delete(**state)
    settings = Settings(elasticsearch=elasticsearch, postgres=postgres)
    for _ in range(2):  # again: it is not done twice
        sink = ElasticsearchSink(settings)
        await sink.open()
        await sink.filled()
        await sink.close()
    assert await client.exists(index="sentinel-v2-state", id="backfill")
    assert len(await found(client, "sentinel-v2-events", tenant)) == 3
    (document,) = await found(client, "sentinel-v2-alerts", tenant)
    assert (document["id"], document["count"]) == (one.id, 2)
    assert len(await found(client, "sentinel-v2-alert-events", tenant)) == 1


async def test_what_is_turned_away_for_now_is_sent_again(
    sink: ElasticsearchSink, client: AsyncElasticsearch, tenant: str, monkeypatch: Any
) -> None:
    """429 for every second item, the first two times."""
    bulk, times = AsyncElasticsearch.bulk, []

    async def busy(self: Any, **given: Any) -> Any:
        answer = await bulk(self, **given)
        times.append(len(answer["items"]))
        if len(times) <= 2:
            for item in answer["items"][::2]:
                item["create"]["status"] = 429
        return answer

    monkeypatch.setattr(AsyncElasticsearch, "bulk", busy)
    await sink.write(Rows([event(tenant) for _ in range(8)]))
    assert times == [8, 4, 2]
    monkeypatch.undo()
    assert len(await found(client, "sentinel-v2-events", tenant)) == 8


async def test_the_amendment_with_the_highest_count_stands(
    sink: ElasticsearchSink, client: AsyncElasticsearch, tenant: str
) -> None:
    first = alert(tenant, 1)
    third = alert(tenant, 3, id=first.id)
    late = alert(tenant, 2, id=first.id)
    created = await sink.write(Rows(alerts=[first]))
    amended = await sink.write(Rows(alerts=[third]))
    behind = await sink.write(Rows(alerts=[late]))
    assert (created.alerts.total(), amended.amended.total()) == (1, 1)
    assert not (behind.alerts + behind.amended)
    (document,) = await found(client, "sentinel-v2-alerts", tenant)
    assert (document["count"], document["explanation"]) == (3, {"n": 3})
    assert len(await found(client, "sentinel-v2-alert-events", tenant)) == 3


async def test_fields_of_any_type_and_number_are_taken(
    sink: ElasticsearchSink, client: AsyncElasticsearch, tenant: str
) -> None:
    """Where a mapping per field would conflict, or grow without end."""
    bodies = ['{"x": 1}', '{"x": {"y": []}}', '{"x": "\\u0000"}', '{"": 1, "a.b": {"..": 2}}']
    bodies += ["{" + ",".join(f'"f{i}": {i}' for i in range(3000)) + "}"]
    written = await sink.write(
        Rows([event(tenant, ocsf=body, entity="e" * 9000) for body in bodies])
    )
    assert written.events.total() == len(bodies)
    assert len(await found(client, "sentinel-v2-events", tenant)) == len(bodies)


async def test_a_large_batch_goes_in_several_requests(
    sink: ElasticsearchSink, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REQUEST_BYTES", 2000)
    written = await sink.write(Rows([event(tenant) for _ in range(50)]))
    assert written.events.total() == 50


async def test_an_absurd_time_is_taken(sink: ElasticsearchSink, tenant: str) -> None:
    written = await sink.write(Rows([event(tenant, time=-1), event(tenant, time=2**52)]))
    assert written.events.total() == 2


async def test_a_store_that_is_not_there_yet_is_waited_for(elasticsearch: str, tenant: str) -> None:
    """Connections are refused, then cut in the middle of a request, then served."""
    target = urlsplit(elasticsearch)
    refused = asyncio.Event()
    cuts = 0

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal cuts
        if cuts < 2:
            cuts += 1
            await reader.read(100)
            writer.close()
            return
        up_reader, up_writer = await asyncio.open_connection(target.hostname, target.port)
        await asyncio.gather(pipe(reader, up_writer), pipe(up_reader, writer))

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sink = ElasticsearchSink(Settings(elasticsearch=f"http://127.0.0.1:{port}", postgres=""))
    opening = asyncio.create_task(sink.open())
    asyncio.get_running_loop().call_later(0.3, refused.set)
    await refused.wait()
    assert not opening.done()
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    await opening
    written = await sink.write(Rows([event(tenant)]))
    await sink.close()
    server.close()
    assert (written.events.total(), cuts) == (1, 2)
