"""Deliver as a stage: what is told, what is not, and the outbox with the position."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from uuid import uuid4

import orjson
import pytest

from schemas import avro
from sentinel import postgres as pg
from sentinel.errors import FencedError
from sentinel.settings import Settings
from sentinel.subscribers.model import Options, Subscription
from sentinel.subscribers.vault import Vault, bound
from sentinel.testing import MemoryProducer
from streams.deliver import DeliverStage
from streams.deliveries.book import Book
from streams.deliveries.outbox import Notice, rows
from streams.deliveries.outlet import OutboxOutlet
from streams.runtime.checkpoint import Position, Store

VAULT = Vault([bytes(32)])


def record(**changes):
    event = {"uid": bytes(16), "time": 1, "arrived": 1, "score": 0.5, "raw": b"{}"}
    return avro.encode(
        "alert",
        {
            "id": str(uuid4()),
            "tenant": "acme",
            "source": "okta",
            "kind": "rule",
            "rule_id": "r",
            "title": "t",
            "techniques": ["T1078"],
            "severity_id": 4,
            "score": 0.5,
            "entity": "e",
            "explanation": '{"a": 1}',
            "first_seen": 1_767_600_000_000,
            "last_seen": 1_767_600_000_000,
            "count": 1,
            "events": [event],
        }
        | changes,
    )


@pytest.fixture
def task():
    return DeliverStage(Settings()).task("alerts", 0)


def test_new_alerts_and_amendments_are_told_suppressed_ones_are_not(task, records):
    values = [
        record(title="new"),
        record(title="more", count=3),
        record(status="suppressed"),
        record(status="staged"),
    ]
    output = task.process(records(values, "alerts"))
    told = [(notice.data["title"], notice.created) for notice in output.notices]
    assert told == [("new", True), ("more", False)]
    assert output.records == []
    (row,) = task.ledger.dump()
    assert (row["in"], row["out"], row["suppressed"]) == (4, 2, 2)


def test_what_is_no_alert_is_a_dead_letter(task, records):
    output = task.process(records([b"", b"nonsense", record(id="no uuid")], "alerts"))
    assert output.notices == []
    assert [each.headers["offset"] for each in output.records] == ["0", "1", "2"]
    assert {each.headers["stage"] for each in output.records} == {"deliver"}


def test_what_is_told_is_bounded_and_storable(task, records):
    odd = record(title="a\0" + "x" * 9999, explanation="x" * 99_999, tenant="a\0b", severity_id=77)
    (notice,) = task.process(records([odd], "alerts")).notices
    assert len(notice.data["title"]) == 1024
    assert notice.data["explanation"] == {"truncated": True, "characters": 99_999}
    assert (notice.data["tenant"], notice.data["severity"]) == ("ab", "critical")
    assert len(orjson.dumps(notice.data)) < 20_000
    (notice,) = task.process(records([record(explanation="no json")], "alerts")).notices
    assert notice.data["explanation"] == {"text": "no json"}


NEURAL = {"version": 1, "id": "s1/0/burst/7", "kind": "burst", "time": "2026-01-31T12:00:00Z"}
NEURAL |= {"session": "s1", "bank": 0, "fs": 30000, "first": 7, "last": 9, "message": "a burst"}
NEURAL |= {"spikes": 9, "channels": 3, "duration_ms": 40}


def test_neural_events_are_told_whole_with_the_same_id_in_every_replay(records):
    found = []
    for _ in range(2):
        task = DeliverStage(Settings()).task("neural.events", 0)
        headers = [[("tenant", b"lab")], None]
        batch = records([orjson.dumps(NEURAL)] * 2, "neural.events", headers=headers)
        found.append([notice.data for notice in task.process(batch).notices])
    assert found[0] == found[1]
    (lab, default) = found[0]
    assert (lab["tenant"], default["tenant"]) == ("lab", "default")
    assert lab["id"] != default["id"]
    assert (lab["kind"], lab["entity"], lab["event"]) == ("neural.burst", "s1", NEURAL)


@pytest.mark.parametrize(
    "value",
    [b"", b"[]", b"1", b"{}", orjson.dumps(NEURAL | {"time": "now"}), b'"' + b"x" * (1 << 20)],
)
def test_what_is_no_neural_event_is_a_dead_letter(records, value):
    task = DeliverStage(Settings()).task("neural.events", 0)
    output = task.process(records([value], "neural.events"))
    assert (output.notices, len(output.records)) == ([], 1)


def test_only_who_asks_for_neural_events_by_kind_is_told(records):
    task = DeliverStage(Settings()).task("neural.events", 0)
    notices = task.process(records([orjson.dumps(NEURAL)], "neural.events")).notices
    told = []
    for clauses in ([], [{"sources": ["neural"]}], [{"kinds": ["neural.*"]}]):
        subscription = Subscription(
            tenant="default", id=uuid4(), name="x", kind="webhook", config={}, filter=clauses,
            options=Options(), created_at=datetime.now(UTC), version=1,
        )  # fmt: skip
        notice = Notice(notices[0].data, True, -1)
        told.append([row.type for row in rows([notice], [subscription], datetime.now(UTC))])
    assert told == [[], [], ["neural.event"]]


@pytest.fixture
async def place(postgres):
    """Yield a pool, an outlet, a subscription's tenant and the claimed position of a partition."""
    pool = await pg.open_pool(postgres, pg.WORKER, tenant=pg.ALL_TENANTS, size=2)
    store = await Store.open(postgres)
    tenant, ident, topic, owner = f"t-{uuid4().hex}", uuid4(), f"alerts-{uuid4().hex}", uuid4()
    secret = VAULT.seal(b"{}", bound(tenant, ident))
    async with pool.acquire() as connection:
        await connection.execute("RESET ROLE")
        await connection.execute(
            "INSERT INTO subscriptions (tenant, id, name, kind, config, secrets, filter, options,"
            " concurrency, batch_size) VALUES ($1, $2, 'x', 'webhook',"
            " '{\"url\": \"https://x\"}', $3, '[]', $4, 1, 1)",
            *(tenant, ident, secret, Options().model_dump_json()),
        )
        await connection.execute(f"SET ROLE {pg.WORKER}")
    await store.claim("deliver", topic, 0, owner)

    def position(_more=None, *, offset, by=owner):
        return Position("deliver", topic, 0, by, offset, {"rows": []}, b"")

    yield pool, OutboxOutlet(MemoryProducer(), pool, Book(VAULT)), tenant, position
    async with pool.acquire() as connection:
        await connection.execute("RESET ROLE")
        await connection.execute("DELETE FROM subscriptions WHERE id = $1", ident)
        await connection.execute(f"SET ROLE {pg.WORKER}")
    await store.close()
    await pool.close()


def now_ms():
    return int(datetime.now(UTC).timestamp() * 1000)


async def test_rows_and_position_are_one_and_a_replay_adds_nothing(place, task, records):
    pool, outlet, tenant, position = place
    batch = records([record(tenant=tenant), record(tenant="other")], "alerts")
    batch.timestamps[:] = [now_ms() + 60_000] * 2
    output = task.process(batch)
    for _ in range(2):  # the worker died after the commit, before it was acknowledged
        assert await outlet.deliver(output, partial(position, offset=2))
    count = "SELECT count(*) FROM deliveries WHERE tenant = $1"
    assert await pool.fetchval(count, tenant) == 1
    more = records([record(tenant=tenant)], "alerts")
    more.timestamps[:] = [now_ms() + 60_000]
    with pytest.raises(FencedError):
        await outlet.deliver(task.process(more), partial(position, offset=3, by=uuid4()))
    assert await pool.fetchval(count, tenant) == 1, "another worker has the partition"


async def test_alerts_from_before_the_subscription_are_not_told(place, task, records):
    pool, outlet, tenant, position = place
    await outlet.deliver(
        task.process(records([record(tenant=tenant)], "alerts")), partial(position, offset=1)
    )
    assert await pool.fetchval("SELECT count(*) FROM deliveries WHERE tenant = $1", tenant) == 0
