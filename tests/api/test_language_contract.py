"""PostgreSQL and Elasticsearch give the same rows for generated queries, and the right ones."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from elasticsearch import AsyncElasticsearch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.deps import Database, Services
from api.routes.alerts import columns
from api.search.elasticsearch import ElasticsearchSearch
from api.search.language.fields import ALERTS, EVENTS
from api.search.language.parse import parse
from api.search.postgres import PostgresSearch
from sentinel.settings import Settings
from streams.sinks.elasticsearch import ElasticsearchSink
from streams.sinks.postgres import PostgresSink

pytestmark = pytest.mark.e2e
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
ALL = 1000
TEXTS = [
    "Failed login of Ada Lovelace",
    "login failed: ada@example.com",
    "arn:aws:iam::123456789012:user/Ada_Lovelace-1",
    "ÅNGSTRÖM straße\u3000東京",
    "100%_done \\ back*slash?",
    "line one\nline two",
    "a" * 254 + " " + "b" * 300 + " tail",
    "",
]
ADDRESSES = ["192.0.2.1", "192.0.2.77", "198.51.100.7", "2001:db8::1", "::ffff:192.0.2.9", ""]
ADDRESSES += ["192.0.2", "host-1", "192.0.2.01", "192.0.2.1/24", "fe80::1%eth0"]
OPERATIONS = ["CreateAccessKey", "createaccesskey", "Delete_Trail", "Delete%Trail", "a*b", "x", ""]
RAWS: list[Any] = [
    {"user": {"name": "ada", "id": 7, "tags": ["x", "y"]}, "ok": True, "n": 1.5},
    {"user": [{"name": "eve"}, {"name": "ada"}], "why": "Failed login", "a.b": "dotted"},
    {"user": {"name": "Ada", "deep": {"er": "still"}}, "empty": "", "nothing": None},
    {"user": "ada", "list": [["nested"], "flat"], "big": 2**70, "neg": -3},
    "type=EXECVE a0=wget a1=https://example.com/x",
]

values = st.sampled_from(
    [
        "ada",
        "Ada",
        '"failed login"',
        '"login failed"',
        "fail*",
        "l?gin",
        "straße",
        "東京",
        "tail",
        "one",
        '"one line"',
        '"line two"',
        "a" * 254,
        "nobody",
        "wget",
        "123456789012",
        "done",
    ]
)
event_terms = st.one_of(
    values,
    values.map(lambda value: f"user:{value}"),
    st.sampled_from(OPERATIONS[:-1]).map(lambda value: f'operation:"{value}"'),
    st.sampled_from(["Create*", "*Key", "?reate*", "Delete_*", "*%*", r"a\*b", r"*\**", "*"]).map(
        lambda value: f"operation:{value}"
    ),
    st.sampled_from(
        [
            "192.0.2.0/24",
            "0.0.0.0/0",
            "192.0.2.1",
            "2001:db8::/32",
            "::/0",
            "192*",
            "::ffff:192.0.2.0/120",
        ]
    ).map(lambda value: f"ip:{value}"),
    st.sampled_from(["low", "high", "fatal", "unknown"]).flatmap(
        lambda name: st.sampled_from([f"severity:{name}", f"severity>={name}", f"severity<{name}"])
    ),
    st.sampled_from(["class:6003", "class>6003", "class:[6003 TO 6004}", "result!=1", "source:*"]),
    st.sampled_from(
        ["2026-01-31", "2026-01-30T12:00", "2026-01-31T12:00:00Z", "2025-06-01"]
    ).flatmap(lambda day: st.sampled_from([f"time:{day}", f"time>{day}", f"time<={day}"])),
    st.sampled_from(["time>now-24h", "time:[now-2d/d TO now]", "arrived>=2026-01-01"]),
    st.sampled_from(
        [
            "raw.user.name:ada",
            "raw.user.name:a*",
            "raw.user.id:7",
            "raw.user.tags:y",
            "raw.ok:true",
            "raw.user:*",
            "raw.list:flat",
            "raw.list:nested",
            "raw.n:1.5",
            "raw.empty:*",
            "raw.neg:*",
            "raw.nothing:*",
            "raw.a.b:dotted",
            "raw.user.deep.er:still",
            f"raw.big:{2**70}",
        ]
    ),
)
alert_terms = st.one_of(
    values,
    values.map(lambda value: f"title:{value}"),
    values.map(lambda value: f"who:{value}"),
    st.sampled_from(["technique:T1078", "technique:T1078.004", "technique:T10*", "technique:*"]),
    st.sampled_from(["severity>=medium", "severity:[low TO high]", "severity:(low OR critical)"]),
    st.sampled_from(
        ["score>=0.5", "score:0.25", "score:{0.25 TO 0.75}", "count>2", "count:[1 TO 3]"]
    ),
    st.sampled_from(
        ["rule:rule-1", "rule:rule*", "rule:*", "kind:rule", "source:auditd", "entity:x"]
    ),
    st.sampled_from(["time>now-24h", "last_seen<2026-01-31", "time:2026-01-30"]),
)


def combined(terms: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.recursive(
        terms,
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from([" AND ", " OR ", " ", " AND NOT "]), inner).map(
                lambda parts: f"({''.join(parts)})"
            ),
            inner.map(lambda part: f"NOT {part}"),
        ),
        max_leaves=6,
    )


class Stores:
    """Both stores with the same rows, asked in one event loop."""

    def __init__(self, loop: Any, postgres: str, elasticsearch: str, tenant: str) -> None:
        self._run = loop.run_until_complete
        self.tenant = tenant
        self._services = Services(Settings(postgres=postgres, elasticsearch=""))
        self._sinks = [
            PostgresSink(Settings(postgres=postgres)),
            ElasticsearchSink(Settings(elasticsearch=elasticsearch, postgres="")),
        ]
        self._url = elasticsearch

    async def open(self, new_seed: Any) -> None:
        self._stores = [PostgresSearch(), ElasticsearchSearch(self._url)]
        for sink in self._sinks:
            await sink.open()
        self.seed = new_seed(self.tenant, *self._sinks)

    async def close(self) -> None:
        for closing in (*self._sinks, *self._stores, self._services):
            await closing.close()

    async def refresh(self) -> None:
        async with AsyncElasticsearch(self._url) as client:
            await client.indices.refresh(index="sentinel-v2-*")

    async def _asked(self, subject: Any, text: str) -> list[list[str]]:
        database = Database(self._services, self.tenant)
        node, found = parse(text, subject, NOW), []
        for store in self._stores:
            if subject is ALERTS:
                page = await store.alerts(database, node, None, ALL, columns())
            else:
                page = await store.events(database, node, None, ALL)
            found.append([str(row["id" if subject is ALERTS else "uid"]) for row in page.rows])
        return found

    def agree(self, subject: Any, text: str) -> list[str]:
        one, other = self._run(self._asked(subject, text))
        assert one == other, text
        return one


async def fill(stores: Stores) -> None:
    for number in range(44):
        when = NOW - timedelta(hours=number * 7, seconds=number)
        raw = RAWS[number % len(RAWS)]
        said = raw if isinstance(raw, str) else json.dumps({**raw, "m": TEXTS[number % len(TEXTS)]})
        await stores.seed.event(
            time=round(when.timestamp() * 1000),
            source=("cloudtrail", "auditd")[number % 2],
            entity=TEXTS[number % 5],
            operation=OPERATIONS[number % len(OPERATIONS)],
            src_ip=ADDRESSES[number % len(ADDRESSES)],
            class_uid=6000 + number % 7,
            status_id=number % 3,
            severity_id=(0, 1, 2, 3, 4, 5, 6, 99)[number % 8],
            raw=said.encode(),
            ocsf=None,
        )
    for number in range(20):
        first = round((NOW - timedelta(hours=5 * number)).timestamp() * 1000)
        await stores.seed.alert(
            title=TEXTS[number % 5],
            entity=TEXTS[(number + 2) % 5],
            rule_id=f"rule-{number % 3}",
            source=("cloudtrail", "auditd")[number % 2],
            severity_id=1 + number % 5,
            score=(number % 5) / 4,
            count=number % 4 + 1,
            first_seen=first,
            last_seen=first + 1000,
            techniques=[["T1078"], ["T1078.004"], ["T10781"], [], ["T1059", "T1078.001"]][
                number % 5
            ],
            explanation=json.dumps({"why": ["because", TEXTS[number % len(TEXTS)]]}),
        )
    await stores.refresh()


@pytest.fixture(scope="module")
def stores(postgres: str, elasticsearch: str, shared_seed: Any) -> Iterator[Stores]:
    loop = asyncio.new_event_loop()
    filled = Stores(loop, postgres, elasticsearch, f"tenant-{uuid4().hex}")
    loop.run_until_complete(filled.open(shared_seed))
    loop.run_until_complete(fill(filled))
    yield filled
    loop.run_until_complete(filled.close())
    loop.close()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("", 44),
        ('"failed login"', 13),
        ("operation:Create*", 7),
        ('operation:"Create*"', 0),
        (r"operation:a\*b", 6),
        ("operation:Delete_Trail", 6),
        ("ip:192.0.2.0/24", 12),
        ("severity:other", 5),
        ("time>=2026-01-31", 2),
        ("raw.user.name:ada", 18),
        ("raw.user.id:7", 9),
        ("wget -wget", 0),
        ("nobody OR wget", 8),
    ],
)
def test_what_is_found(stores: Stores, text: str, number: int):
    assert len(stores.agree(EVENTS, text)) == number


def test_ids_are_found_whole_and_by_their_beginning(stores: Stores):
    (first, *_) = stores.agree(EVENTS, "")
    assert stores.agree(EVENTS, f"uid:{first}") == [first]
    assert first in stores.agree(EVENTS, f"id:{first[:9].upper()}*")
    assert stores.agree(EVENTS, f"id:{UUID(int=0)}") == []


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=combined(event_terms))
def test_generated_queries_of_events(stores: Stores, text: str):
    stores.agree(EVENTS, text)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=combined(alert_terms))
def test_generated_queries_of_alerts(stores: Stores, text: str):
    stores.agree(ALERTS, text)
