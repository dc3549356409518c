"""The PostgreSQL sink: everything once, whatever fails, and nobody sees another tenant's rows."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import streams.sinks
from sentinel.errors import FencedError
from sentinel.registry import discover
from sentinel.settings import Settings
from streams.runtime.checkpoint import Position, Store
from streams.sinks.base import AlertEventRow, AlertRow, DeadLetterRow, EventRow, Rows, Sink
from streams.sinks.postgres import SQL, PostgresSink

NOW, DAY = int(datetime.now(UTC).timestamp()) // 3600 * 3_600_000, 86_400_000


@pytest.fixture
async def sink(postgres: str) -> AsyncIterator[PostgresSink]:
    opened = PostgresSink(Settings(postgres=postgres))
    await opened.open()
    yield opened
    await opened.close()


def event(tenant: str, **changes: Any) -> EventRow:
    row = EventRow(
        tenant=tenant,
        uid=uuid4().bytes,
        time=NOW - 1234,
        arrived=NOW,
        source="cloudtrail",
        class_uid=6003,
        activity_id=1,
        status_id=1,
        severity_id=1,
        entity="arn:aws:iam::123456789012:user/ada",
        operation="ListBuckets",
        service="s3.amazonaws.com",
        src_ip="192.0.2.1",
        raw=b'{"eventName": "ListBuckets"}',
    )
    return row._replace(**changes)


def evidence(**changes: Any) -> AlertEventRow:
    row = AlertEventRow(uuid4().bytes, NOW, NOW, 0.7, "cloudtrail", '{"a": 1}', b"raw")
    return row._replace(**changes)


def alert(tenant: str, **changes: Any) -> AlertRow:
    row = AlertRow(
        tenant=tenant,
        id=str(uuid4()),
        kind="rule",
        rule_id="aws-root-login",
        title="Root logged in",
        source="cloudtrail",
        severity_id=4,
        score=0.7,
        techniques=["T1078.004"],
        entity="root",
        explanation='{"matched": ["eventName"]}',
        count=1,
        first_seen=NOW,
        last_seen=NOW,
        events=[evidence()],
    )
    return row._replace(**changes)


def letter(tenant: str, **changes: Any) -> DeadLetterRow:
    row = DeadLetterRow(
        topic="dead_letter",
        partition=0,
        offset=uuid4().int >> 70,
        origin_topic="raw.cloudtrail",
        origin_partition=1,
        origin_offset=uuid4().int >> 70,
        origin_index=0,
        stage="normalize",
        reason="json",
        detail="expected JSON, found '{'",
        tenant=tenant,
        source="cloudtrail",
        time=NOW,
        size=1,
        value=b"{",
    )
    return row._replace(**changes)


async def count(owner: asyncpg.Connection, table: str, tenant: str) -> int:
    return int(await owner.fetchval(f"SELECT count(*) FROM {table} WHERE tenant = $1", tenant))


@pytest.mark.parametrize("name", sorted(discover(streams.sinks, Sink).keys() - {"findings"}))
async def test_the_same_batch_twice_is_once(
    name: str, request: pytest.FixtureRequest, tenant: str
) -> None:
    """The contract of every sink that takes all rows; its address is the fixture of its name."""
    address = request.getfixturevalue(name)
    opened = discover(streams.sinks, Sink)[name](Settings(**{name: address}))
    await opened.open()
    rows = Rows([event(tenant)] * 2 + [event(tenant)], [alert(tenant)], [letter(tenant)])
    first, second = await opened.write(rows), await opened.write(rows)
    await opened.close()
    key = (tenant, "cloudtrail")
    assert (first.events[key], first.alerts[key], first.alert_events[key]) == (2, 1, 1)
    assert not (second.events + second.alerts + second.amended + second.alert_events)
    assert not second.dead_letters


async def test_a_row_comes_back_as_it_was_written(
    sink: PostgresSink, owner: asyncpg.Connection, tenant: str
) -> None:
    row = event(tenant, time=1_700_000_000_123, raw='{"text": "ünïcode \\ud83d\\ude00"}'.encode())
    await sink.write(Rows([row]))
    found = await owner.fetchrow("SELECT * FROM events WHERE tenant = $1", tenant)
    assert found["uid"] == UUID(bytes=row.uid)
    assert round(found["time"].timestamp() * 1000) == 1_700_000_000_123
    assert (found["raw"].encode(), found["ocsf"]) == (row.raw, None)
    assert [found[name] for name in EventRow._fields[4:13]] == list(row[4:13])


async def test_an_event_that_arrives_again_on_another_day_is_not_new(
    sink: PostgresSink, owner: asyncpg.Connection, tenant: str
) -> None:
    row = event(tenant)
    await sink.write(Rows([row]))
    again = await sink.write(Rows([row._replace(arrived=NOW - 2 * DAY)]))
    assert not again.events
    assert await count(owner, "events", tenant) == 1


async def test_two_tenants_may_have_the_same_event_id(sink: PostgresSink, tenant: str) -> None:
    row = event(tenant)
    other = row._replace(tenant=f"{tenant}-2")
    written = await sink.write(Rows([row, other]))
    assert written.events.total() == 2


async def test_looking_for_duplicates_always_uses_the_primary_key(
    sink: PostgresSink, tenant: str
) -> None:
    """Also while a partition is empty: with any other index the cost grows with the table."""
    await sink.write(Rows([event(tenant, arrived=NOW - 3 * DAY)]))
    async with sink._pool.acquire() as connection, connection.transaction():
        oldest = datetime.now(UTC).date() - timedelta(days=8)
        plan = await connection.fetch(f"EXPLAIN {SQL['events']}", oldest, *[[]] * 16)
    scans = [row[0] for row in plan if "Scan" in row[0] and "events_2" in row[0]]
    assert scans
    assert all("_pkey on events_2" in scan for scan in scans), scans


@pytest.mark.parametrize(
    "arrived", [-(2**62), -1, 0, NOW - 400 * DAY, NOW + 400 * DAY, 2**62], ids=range(6)
)
async def test_absurd_times_make_no_partitions_without_end(
    sink: PostgresSink, owner: asyncpg.Connection, tenant: str, arrived: int
) -> None:
    await sink.write(Rows([event(tenant, arrived=arrived, time=arrived)]))
    far = await owner.fetchval(
        "SELECT count(*) FROM events WHERE tenant = $1 AND abs(day - current_date) > 7", tenant
    )
    assert (await count(owner, "events", tenant), far) == (1, 0)


async def test_days_past_retention_are_dropped_and_made_again_when_needed(
    sink: PostgresSink, postgres: str, owner: asyncpg.Connection, tenant: str
) -> None:
    await sink.write(Rows([event(tenant), event(tenant, arrived=NOW - 5 * DAY)]))
    short = PostgresSink(Settings(postgres=postgres, retention_days=2))
    await short.open()
    await short.write(Rows([event(tenant)]))
    await short.close()
    assert await count(owner, "events", tenant) == 2
    await sink.write(Rows([event(tenant, arrived=NOW - 5 * DAY)]))  # it believes the day is there
    assert await count(owner, "events", tenant) == 3


async def test_the_amendment_with_the_highest_count_stands(
    sink: PostgresSink, owner: asyncpg.Connection, tenant: str
) -> None:
    first = alert(tenant, count=1, first_seen=NOW - 5, last_seen=NOW - 5, score=0.5)
    third = first._replace(
        count=3, last_seen=NOW, score=0.9, explanation='{"n": 3}', events=[evidence(), evidence()]
    )
    late = first._replace(count=2, explanation='{"n": 2}', events=[evidence()])
    created = await sink.write(Rows(alerts=[first]))
    await owner.execute("UPDATE alerts SET status = 'closed' WHERE tenant = $1", tenant)
    amended = await sink.write(Rows(alerts=[late, third]))
    behind = await sink.write(Rows(alerts=[late]))
    key = (tenant, "cloudtrail")
    assert (created.alerts[key], created.amended[key]) == (1, 0)
    assert (amended.alerts[key], amended.amended[key], amended.alert_events[key]) == (0, 1, 3)
    assert not (behind.alerts + behind.amended + behind.alert_events)
    found = await owner.fetchrow("SELECT * FROM alerts WHERE tenant = $1", tenant)
    assert (found["count"], found["score"], found["status"]) == (3, 0.9, "closed")
    assert (found["severity"], json.loads(found["explanation"])) == ("high", {"n": 3})
    assert found["first_seen"].timestamp() * 1000 == pytest.approx(NOW - 5)
    assert found["last_seen"].timestamp() * 1000 == pytest.approx(NOW)
    assert found["revision"] > found["seq"]
    assert await count(owner, "alert_events", tenant) == 4


async def test_numbers_of_alerts_become_visible_in_their_order(
    sink: PostgresSink, owner: asyncpg.Connection, tenant: str
) -> None:
    """A reader that asks for "newer than the last I saw" must miss none."""
    writes = [
        asyncio.create_task(sink.write(Rows(alerts=[alert(tenant) for _ in range(5)])))
        for _ in range(20)
    ]
    seen: list[int] = []
    while len(seen) < 100:
        rows = await owner.fetch(
            "SELECT seq FROM alerts WHERE tenant = $1 AND seq > $2 ORDER BY seq",
            tenant,
            seen[-1] if seen else 0,
        )
        seen.extend(row["seq"] for row in rows)
    await asyncio.gather(*writes)
    assert len(set(seen)) == 100


async def test_a_record_refused_twice_is_one_dead_letter(
    sink: PostgresSink, owner: asyncpg.Connection, tenant: str
) -> None:
    row = letter(tenant, size=9000, value=b"\x00" * 9000)
    written = await sink.write(Rows(dead_letters=[row, row._replace(offset=row.offset + 1)]))
    assert written.dead_letters == Counter({(tenant, "cloudtrail"): 1})
    found = await owner.fetchrow("SELECT * FROM dead_letters WHERE tenant = $1", tenant)
    assert (found["size"], len(found["value"]), found["status"]) == (9000, 4096, "new")


async def claimed(postgres: str, topic: str, owner: UUID) -> None:
    store = await Store.open(postgres)
    await store.claim("persist", topic, 0, owner)
    await store.close()


async def test_a_fenced_worker_writes_nothing(
    sink: PostgresSink, postgres: str, owner: asyncpg.Connection, tenant: str
) -> None:
    old, new = uuid4(), uuid4()
    await claimed(postgres, tenant, old)
    await claimed(postgres, tenant, new)
    position = Position("persist", tenant, 0, old, 1, [], b"")
    with pytest.raises(FencedError):
        await sink.write(Rows([event(tenant)], [alert(tenant)], [letter(tenant)]), [position])
    for table in ("events", "alerts", "alert_events", "dead_letters"):
        assert await count(owner, table, tenant) == 0


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_a_connection_cut_at_commit_neither_loses_nor_doubles(
    proxy: Callable[[], Any], postgres: str, owner: asyncpg.Connection, tenant: str, cut: str
) -> None:
    me = uuid4()
    await claimed(postgres, tenant, me)
    rows = Rows([event(tenant) for _ in range(10)], [alert(tenant)], [letter(tenant)])
    async with proxy() as line:
        opened = PostgresSink(Settings(postgres=line.dsn))
        await opened.open()
        await opened.write(Rows([event(f"{tenant}-warm-up")]))
        line.cut = cut
        written = await opened.write(
            rows,
            lambda done: [
                Position("persist", tenant, 0, me, 10, [{"out": done.events.total()}], None)
            ],
        )
        await opened.close()
    assert line.cuts == 1
    assert written.events.total() == 10
    assert written.alerts.total() == 1
    assert await count(owner, "events", tenant) == 10
    assert await count(owner, "alert_events", tenant) == 1
    ledger = await owner.fetchval("SELECT ledger FROM checkpoints WHERE topic = $1", tenant)
    assert json.loads(ledger) == [{"out": 10}]


async def test_a_restarted_server_is_waited_for(
    sink: PostgresSink, owner: asyncpg.Connection, tenant: str
) -> None:
    """As after a restart: all connections of the workers are gone."""
    await owner.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'sentinel sentinel_worker'"
    )
    await asyncio.gather(*(sink.write(Rows([event(tenant)])) for _ in range(8)))
    assert await count(owner, "events", tenant) == 8


async def test_a_closed_sink_fails_instead_of_waiting_for_ever(postgres: str, tenant: str) -> None:
    opened = PostgresSink(Settings(postgres=postgres))
    await opened.open()
    await opened.close()
    with pytest.raises(asyncpg.InterfaceError, match="pool is clos"):
        await asyncio.wait_for(opened.write(Rows([event(tenant)])), 10)


UNSTORABLE = {
    "nul escape": ('{"a": "x\\u0000y"}', {"a": "x\ufffdy"}),
    "escaped backslash": ('{"a": "\\\\u0000"}', {"a": "\\u0000"}),
    "lone surrogate": ('{"a": "\\ud800"}', {"a": "\ufffd"}),
    "raw nul": ('{"a": "x\x00y"}', {"a": "x\ufffdy"}),
}


@pytest.mark.parametrize("name", sorted(UNSTORABLE))
async def test_characters_that_jsonb_refuses_are_replaced_visibly(
    sink: PostgresSink, owner: asyncpg.Connection, tenant: str, name: str
) -> None:
    given_text, expected = UNSTORABLE[name]
    good, bad = event(tenant), event(tenant, ocsf=given_text)
    written = await sink.write(Rows([good, bad], [alert(tenant, explanation=given_text)]))
    assert written.events.total() == 2
    found = await owner.fetchval("SELECT ocsf FROM events WHERE uid = $1", UUID(bytes=bad.uid))
    assert json.loads(found) == expected
    why = await owner.fetchval("SELECT explanation FROM alerts WHERE tenant = $1", tenant)
    assert json.loads(why) == expected


@pytest.mark.parametrize("text", ["[1e999999]", "{", "[" * 50_000 + "]" * 50_000])
async def test_json_that_cannot_be_stored_leaves_its_reason(
    sink: PostgresSink, owner: asyncpg.Connection, tenant: str, text: str
) -> None:
    good, bad = event(tenant), event(tenant, ocsf=text)
    await sink.write(Rows([good, bad]))
    rows = await owner.fetch("SELECT uid, ocsf FROM events WHERE tenant = $1", tenant)
    by_uid = {row["uid"].bytes: row["ocsf"] and json.loads(row["ocsf"]) for row in rows}
    assert by_uid[good.uid] is None
    assert by_uid[bad.uid]["unstorable"]["size"] == len(text)
    assert by_uid[bad.uid]["unstorable"]["reason"]


@pytest.mark.parametrize("raw", [b"a\x00b", b"\xff", b"\xed\xa0\x80", "ÿ\x00".encode()])
async def test_raw_bytes_that_are_no_text_are_kept_as_far_as_they_go_with_the_ocsf_of_all(
    sink: PostgresSink, owner: asyncpg.Connection, tenant: str, raw: bytes
) -> None:
    good, bad = event(tenant), event(tenant, raw=raw)
    written = await sink.write(Rows([good, bad]))
    assert written.events.total() == 2
    rows = await owner.fetch("SELECT uid, raw, ocsf FROM events WHERE tenant = $1", tenant)
    by_uid = {row["uid"].bytes: row for row in rows}
    assert (by_uid[good.uid]["raw"].encode(), by_uid[good.uid]["ocsf"]) == (good.raw, None)
    kept = by_uid[bad.uid]
    assert kept["raw"] == raw.decode("utf-8", "replace").replace("\x00", "\ufffd")
    # no connector takes this, so what there is says why
    assert json.loads(kept["ocsf"])["metadata"]["tenant_uid"] == tenant
    assert "no OCSF form" in json.loads(kept["ocsf"])["message"]


async def test_strings_too_long_for_an_index_stay_distinct(
    sink: PostgresSink, owner: asyncpg.Connection, tenant: str
) -> None:
    long = "".join(chr(0x4E00 + i * 7919 % 20_000) for i in range(9000))
    await sink.write(Rows([event(tenant, entity=long + end) for end in "ab"]))
    rows = await owner.fetch("SELECT entity FROM events WHERE tenant = $1", tenant)
    entities = {row["entity"] for row in rows}
    assert len(entities) == 2
    assert all(entity.startswith(long[:400]) and "…" in entity for entity in entities)


@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    entity=st.text(st.characters(), max_size=50),
    raw=st.binary(max_size=20) | st.text(max_size=20).map(str.encode),
    ocsf=st.none()
    | st.recursive(
        st.text(st.characters()) | st.integers() | st.floats(), st.lists, max_leaves=5
    ).map(json.dumps)
    | st.text(max_size=20),
)
async def test_whatever_is_in_a_row_it_is_stored(
    postgres: str, tenant: str, entity: str, raw: bytes, ocsf: str | None
) -> None:
    opened = PostgresSink(Settings(postgres=postgres))
    await opened.open()
    try:
        written = await opened.write(Rows([event(tenant, entity=entity, raw=raw, ocsf=ocsf)]))
        assert written.events.total() == 1
    finally:
        await opened.close()
