"""Checkpoints: handed over whole, fenced, never moved back, safe to repeat."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import asyncpg
import pytest

from sentinel.errors import FencedError
from streams.runtime.checkpoint import Position, Saved, Store


@pytest.fixture
async def store(postgres: str) -> AsyncIterator[Store]:
    opened = await Store.open(postgres)
    yield opened
    await opened.close()


@pytest.fixture
def topic() -> str:
    return f"topic-{uuid4().hex}"


def place(topic: str, owner: UUID, offset: int, state: bytes | None = b"s") -> Position:
    return Position("detect", topic, 3, owner, offset, [{"in": offset}], state)


async def test_a_partition_nobody_had_starts_empty_and_then_resumes(
    store: Store, topic: str
) -> None:
    first, second = uuid4(), uuid4()
    assert await store.claim("detect", topic, 3, first) is None
    await store.save(place(topic, first, 7, b"state \x00 of any bytes"))
    saved = await store.claim("detect", topic, 3, second)
    assert saved == Saved(7, [{"in": 7}], b"state \x00 of any bytes")


async def test_state_none_keeps_the_state_before(store: Store, topic: str) -> None:
    owner = uuid4()
    await store.claim("detect", topic, 3, owner)
    await store.save(place(topic, owner, 1, b"one"))
    await store.save(place(topic, owner, 2, None))
    assert await store.claim("detect", topic, 3, owner) == Saved(2, [{"in": 2}], b"one")


async def test_an_old_owner_changes_nothing(store: Store, topic: str) -> None:
    old, new = uuid4(), uuid4()
    await store.claim("detect", topic, 3, old)
    await store.save(place(topic, old, 5))
    await store.claim("detect", topic, 3, new)
    with pytest.raises(FencedError, match="another worker has the partition"):
        await store.save(place(topic, old, 9, b"zombie"))
    assert await store.claim("detect", topic, 3, new) == Saved(5, [{"in": 5}], b"s")


async def test_a_checkpoint_never_goes_back_but_may_repeat(store: Store, topic: str) -> None:
    owner = uuid4()
    await store.claim("detect", topic, 3, owner)
    await store.save(place(topic, owner, 5))
    await store.save(place(topic, owner, 5))
    with pytest.raises(FencedError, match="never goes back"):
        await store.save(place(topic, owner, 4))


async def test_saving_without_claiming_says_what_to_do(store: Store, topic: str) -> None:
    with pytest.raises(FencedError, match="call claim before save"):
        await store.save(place(topic, uuid4(), 1))


async def test_of_many_positions_all_are_saved_or_none(store: Store, topic: str) -> None:
    owner, other = uuid4(), uuid4()
    mine = place(topic, owner, 5)
    lost = place(topic, owner, 5)._replace(partition=4)
    await store.claim("detect", topic, 3, owner)
    await store.claim("detect", topic, 4, other)
    with pytest.raises(FencedError):
        await store.save_many([mine, lost])
    assert await store.claim("detect", topic, 3, owner) is None


async def test_a_claim_waits_for_a_save_under_way(store: Store, topic: str, postgres: str) -> None:
    old, new = uuid4(), uuid4()
    await store.claim("detect", topic, 3, old)
    connection = await asyncpg.connect(postgres)
    try:
        transaction = connection.transaction()
        await transaction.start()
        await store.save(place(topic, old, 8), connection)
        claim = asyncio.create_task(store.claim("detect", topic, 3, new))
        await waits_for_a_lock(connection)
        await transaction.commit()
        saved = await claim
    finally:
        await connection.close()
    assert saved is not None
    assert saved.next_offset == 8


async def waits_for_a_lock(connection: asyncpg.Connection) -> None:
    """Return once a backend waits for this connection's transaction."""
    own = await connection.fetchval("SELECT pg_backend_pid()")
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))"
    while not await connection.fetchval(waiting, own):
        pass


async def test_a_lost_connection_is_made_anew(store: Store, topic: str, postgres: str) -> None:
    owner = uuid4()
    await store.claim("detect", topic, 3, owner)
    administrator = await asyncpg.connect(postgres)
    try:
        await administrator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'sentinel sentinel_worker'"
        )
    finally:
        await administrator.close()
    await store.save(place(topic, owner, 6))
    saved = await store.claim("detect", topic, 3, owner)
    assert saved is not None
    assert saved.next_offset == 6


async def test_all_positions_are_listed_without_their_state(store: Store, topic: str) -> None:
    owner = uuid4()
    await store.claim("detect", topic, 3, owner)
    await store.save(place(topic, owner, 6, b"four"))
    rows = [row for row in await store.read_all() if row.topic == topic]
    assert [(r.stage, r.partition, r.next_offset, r.ledger, r.state_bytes) for r in rows] == [
        ("detect", 3, 6, [{"in": 6}], 4)
    ]


async def test_a_large_state_survives(store: Store, topic: str) -> None:
    owner, state = uuid4(), bytes(range(256)) * 40_000
    await store.claim("detect", topic, 3, owner)
    await store.save(place(topic, owner, 1, state))
    saved = await store.claim("detect", topic, 3, owner)
    assert saved is not None
    assert saved.state == state
