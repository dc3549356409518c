"""Both search stores give the same answers to the same data, and neither hides that it is away."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from elasticsearch import AsyncElasticsearch

from api.app import create
from api.routes.alerts import Alerts
from api.routes.events import Events
from sentinel.settings import Settings
from streams.sinks.elasticsearch import ElasticsearchSink
from streams.sinks.postgres import PostgresSink

pytestmark = pytest.mark.e2e
TOKEN = "a-token-of-one-tenant,-long-enough"
NOW = datetime.now(UTC).replace(microsecond=0)
SIZES = (1, 2, 5, 1000)
#: Texts that stores cut up differently if left to themselves, and what may be looked for.
TEXTS = [
    "arn:aws:iam::123456789012:user/Ada_Lovelace-1",
    "s3.amazonaws.com it's 192.0.2.1 10:30 foo_bar",
    "ÅNGSTRÖM straße ÉCOLE 東京 naïve x\u0000y",
    'quoted "inner" back\\slash new\nline tab\there',
    "w" * 600,
]
#: Events that are no JSON, or not quite; what of them was stored is found.
LINES = [
    b'type=EXECVE a0="wget" a1="https://example.com/x"',
    b'{"text": "caf\xe9 uno"',
    b"dos\x00tres",
]
QUERIES = [
    *("wget", "example com", "execve", "caf", "uno", "dos", "tres"),
    *("ada", "LOVELACE", "lovelace 1", "iam ada", "amazonaws", "192", "192.0.2.1", "foo", "it"),
    *("Ångström", "ÅNGSTRÖM", "straße", "École", "ÉCOLE", "東京", "東", "line", "nline", "here"),
    *("inner", "y", "class_uid", "7", "ad", "nobody ada", "six", "because line", "w" * 100),
]


def ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)


@pytest.fixture
async def seed(postgres: str, elasticsearch: str, tenant: str, new_seed: Any) -> AsyncIterator[Any]:
    """Yield what writes the same rows to both stores."""
    sinks = [PostgresSink(Settings(postgres=postgres))]
    sinks.append(ElasticsearchSink(Settings(elasticsearch=elasticsearch)))
    for sink in sinks:
        await sink.open()
    yield new_seed(tenant, *sinks)
    for sink in sinks:
        await sink.close()


@pytest.fixture
def searching(postgres: str, elasticsearch: str, home: Path) -> Any:
    """Return the application that searches Elasticsearch."""
    settings = Settings(home=home, postgres=postgres, kafka="x:1", elasticsearch=elasticsearch)
    return create(settings)


@pytest.fixture
async def refresh(elasticsearch: str) -> AsyncIterator[Any]:
    async with AsyncElasticsearch(elasticsearch) as client:
        yield lambda: client.indices.refresh(index="sentinel-v2-*")


async def pages(client: httpx.AsyncClient, path: str, **params: Any) -> list[list[dict[str, Any]]]:
    """Return the items of all pages, page by page."""
    found: list[list[dict[str, Any]]] = []
    while True:
        answer = await client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        (Alerts if "alerts" in path else Events).model_validate(page)
        found.append(page["items"])
        if page["next"] is None:
            return found
        params["cursor"] = page["next"]


async def agree(one: Any, other: Any, path: str, **params: Any) -> list[list[dict[str, Any]]]:
    """Return the pages that both stores show."""
    first, second = await pages(one, path, **params), await pages(other, path, **params)
    assert first == second, params
    return first


async def test_events_are_the_same_for_every_filter_and_page_size(
    connect, searching, seed, refresh, tenant
) -> None:
    days = [NOW - timedelta(days=back) for back in (0, 0, 0, 40, 400)]
    for number, day in enumerate(days):
        await seed.event(
            time=ms(day),
            source=("cloudtrail", "auditd")[number % 2],
            entity=f"who-{number % 3}",
            operation=f"do-{number}",
            service=f"where-{number}",
            src_ip=f"192.0.2.{number}",
            class_uid=6003 + number,
            severity_id=number,
            ocsf=json.dumps({"class_uid": 7, "n": [2**70, -0.5, None], "t": {"x": [number]}}),
        )
    absurd = await seed.event(time=2**52, arrived=-(2**60))
    shared = str(UUID(bytes=absurd.uid))
    await refresh()
    given: list[dict[str, Any]] = [
        {}, {"source": "auditd"}, {"entity": "who-1"}, {"operation": "do-2"}, {"uid": shared},
        {"service": "where-3"}, {"src_ip": "192.0.2.4"}, {"class_uid": 6004},
        {"min_severity": "medium"}, {"source": "auditd", "entity": "who-0"}, {"entity": "nobody"},
        *({name: (NOW + timedelta(microseconds=shift)).isoformat()}
          for name in ("since", "until") for shift in (-1000, -1, 0, 1, 1000)),
    ]  # fmt: skip
    async with connect() as one, connect(application=searching) as other:
        for filters in given:
            for size in SIZES:
                params = {"tenant": tenant, "limit": size, **filters}
                found = await agree(one, other, "/v1/events", **params)
        everything = await agree(one, other, "/v1/events", tenant=tenant, limit=2)
    assert [len(page) for page in everything] == [2, 2, 2]
    assert found


async def test_alerts_are_the_same_for_every_filter_and_page_size(
    connect, searching, seed, refresh, tenant
) -> None:
    for number in range(5):
        first = ms(NOW - timedelta(days=number // 2))
        row = await seed.alert(
            events=number + 1,
            first_seen=first,
            last_seen=first + 1000,
            severity_id=number,  # 0 is kept as 1
            rule_id=f"rule-{number % 2}",
            source=("cloudtrail", "auditd")[number % 2],
            entity=f"who-{number % 3}",
            techniques=[["T1078"], ["T1078.004"], ["T10781"], [], ["T1059", "T1078.001"]][number],
        )
    await seed.write(row._replace(count=9, score=0.9, severity_id=5, events=[]))
    await refresh()
    given: list[dict[str, Any]] = [
        {}, {"severity": "low"}, {"severity": ["informational", "critical"]},
        {"min_severity": "high"}, {"rule": "rule-1"}, {"entity": "who-1"}, {"source": "auditd"},
        {"technique": "T1078"}, {"technique": "T1078.004"}, {"technique": "T107"},
        {"status": "new"}, {"status": "closed"}, {"rule": "rule-0", "min_severity": "medium"},
        *({name: (NOW + timedelta(microseconds=shift)).isoformat()}
          for name in ("since", "until") for shift in (-1, 0, 1, 1_000_000, 1_000_001)),
    ]  # fmt: skip
    async with connect() as one, connect(application=searching) as other:
        for filters in given:
            for size in SIZES:
                params = {"tenant": tenant, "limit": size, **filters}
                await agree(one, other, "/v1/alerts", **params)
        ((*_, last),) = await agree(one, other, "/v1/alerts", tenant=tenant)
    assert (last["id"], last["count"], last["severity"]) == (row.id, 9, "critical")


async def test_words_are_found_the_same(connect, searching, seed, refresh, tenant) -> None:
    for text in TEXTS:
        whole = {"class_uid": 7, "deep": [{"text": text}, {}, [[text]]]}
        await seed.event(raw=json.dumps(whole).encode())
        if "\x00" not in text:
            await seed.alert(title=text[:500], explanation=json.dumps({"why": ["because", text]}))
    for line in LINES:
        await seed.event(raw=line, ocsf=None)
    await refresh()
    hits = {}
    async with connect() as one, connect(application=searching) as other:
        for query in QUERIES:
            for path in ("/v1/events", "/v1/alerts"):
                found = await agree(one, other, path, tenant=tenant, q=query, limit=2)
                hits[path, query] = sum(map(len, found))
        for client in (one, other):
            answer = await client.get("/v1/events", params={"q": " -- "})
            assert answer.status_code == 422
            assert "at least one word" in answer.json()["detail"]
    for name in ("wget", "execve", "uno"):
        assert hits["/v1/events", name] == 1, name
    names = ("ada", "LOVELACE", "iam ada", "192.0.2.1", "ÅNGSTRÖM", "東京", "here")
    assert [hits["/v1/events", name] for name in names] == [1] * len(names)
    for name in ("class_uid", "7", "ad", "nobody ada", "東", "nline"):
        assert hits["/v1/events", name] == 0, name
    assert hits["/v1/alerts", "because line"] == 1


async def test_a_tenants_token_finds_that_tenant_only(
    connect, searching, seed, refresh, tenant
) -> None:
    await seed.event()
    mine = await seed.alert()
    seed.tenant = f"{tenant}-other"
    await seed.event()
    await seed.alert()
    await refresh()
    async with connect(TOKEN, searching) as narrow:
        ((event,),) = await pages(narrow, "/v1/events")
        ((alert,),) = await pages(narrow, "/v1/alerts")
        assert (event["tenant"], alert["id"]) == (tenant, mine.id)
        for path in ("/v1/events", "/v1/alerts"):
            assert await pages(narrow, path, tenant=seed.tenant) == [[]]


async def test_health_says_which_store_is_searched(connect, searching) -> None:
    async with connect() as one, connect(application=searching) as other:
        assert (await one.get("/health/search")).json()["detail"] == {"store": "postgres"}
        found = (await other.get("/health/search")).json()
    assert (found["ok"], found["detail"]["store"]) == (True, "elasticsearch")


async def test_elasticsearch_away_is_said_and_nothing_else_is_searched(
    connect, postgres: str, home: Path
) -> None:
    away = create(
        Settings(home=home, postgres=postgres, kafka="x:1", elasticsearch="http://127.0.0.1:1")
    )
    async with connect(application=away) as client:
        for path in ("/v1/events", "/v1/alerts", "/health/search"):
            answer = await client.get(path)
            assert answer.status_code == 503
            assert answer.headers["content-type"] == "application/problem+json"
            assert "Elasticsearch cannot be reached" in answer.json()["detail"]
        assert (await client.get("/health/db")).status_code == 200
