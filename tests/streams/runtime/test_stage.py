"""The loop of every stage: what is saved is safe, what is not saved is done again, the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sentinel import postgres as database
from sentinel.errors import FencedError
from sentinel.settings import Settings
from sentinel.testing import MemoryProducer
from streams import app
from streams.runtime import stage
from streams.runtime.checkpoint import Store
from streams.runtime.outlets import ProducerOutlet
from streams.runtime.stage import BEGINNING, Output
from tests.streams.runtime.stage_doubles import (
    EAGER,
    LAZY,
    DiedError,
    Pairs,
    Place,
    Worker,
)


@pytest.fixture
async def store(postgres: str) -> AsyncIterator[Store]:
    opened = await Store.open(postgres)
    yield opened
    await opened.close()


@pytest.fixture
async def worker(store: Store) -> AsyncIterator[Any]:
    """Return ``worker(settings=…, place=…)``; all are killed at the end."""
    made: list[Worker] = []

    def make(settings: Settings = LAZY, place: Place | None = None, outlet: Any = None) -> Worker:
        where = place or Place(f"raw.{uuid4().hex}", 3)
        made.append(Worker(store, where, settings, outlet))
        return made[-1]

    yield make
    for each in made:
        await each.kill()


@pytest.fixture
def death(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the exit statuses with which workers ended themselves."""
    statuses: list[int] = []

    def end(status: int) -> None:
        statuses.append(status)
        raise DiedError

    monkeypatch.setattr(stage.os, "_exit", end)
    return statuses


async def saved(store: Store, place: Place) -> Any:
    return next((row for row in await store.read_all() if row[1:3] == place), None)


async def test_a_partition_starts_at_its_beginning_and_goes_on_where_it_was(worker, records):
    first = worker()
    assert await first.start() == BEGINNING
    event = first.put(records([b"a", b"b", b"c"], *first.place))
    await first.handled(3)
    await first.runner.on_revoked([first.place])
    assert event.acked
    second = worker(place=first.place)
    assert await second.start() == 3
    second.put(records([b"d"], *first.place, first=3))
    await second.handled(4)
    assert [sent.value for sent in first.producer.durable] == [b"2 ab"]
    assert [sent.value for sent in second.producer.sent] == [b"4 cd"]


async def test_nothing_is_acknowledged_before_it_is_saved(worker, store, records):
    mine = worker()
    await mine.start()
    event = mine.put(records([b"a", b"b"], *mine.place))
    await mine.handled(2)
    assert not event.acked
    assert (await saved(store, mine.place)).next_offset is None
    await mine.runner.checkpoint()
    assert event.acked
    assert (await saved(store, mine.place)).next_offset == 2
    assert mine.producer.durable == mine.producer.sent


async def test_an_idle_partition_goes_on_past_what_no_reader_sees(worker, store, records, until):
    """The marker of a transaction is an offset: `push --wait` must not wait for it for ever."""
    mine = worker()
    mine.runner.reached = lambda topic, partition, done: 7 if done == 3 else done
    await mine.start()
    event = mine.put(records([b"a", b"b", b"c"], *mine.place))
    await until(lambda: event.acked)
    assert (await saved(store, mine.place)).next_offset == 7
    mine.put(records([b"d"], *mine.place, first=9))
    await mine.handled(10)


async def test_records_are_let_go_before_they_are_acknowledged(worker, records):
    mine = worker()
    await mine.start()
    batch = records([b"a", b"b"], *mine.place)
    event = mine.put(batch)
    await mine.handled(2)
    assert not event.acked
    assert [batch.values, batch.offsets, batch.headers] == [[], [], []]


class SlowOutlet(ProducerOutlet):
    """As a sink whose database is down: what it is to deliver is not, until `up` is set."""

    def __init__(self) -> None:
        super().__init__(MemoryProducer())
        self.up = asyncio.Event()
        self.busy = asyncio.Event()

    async def deliver(self, output: Output, position: Any) -> bool:
        self.busy.set()
        await self.up.wait()
        return await super().deliver(output, position)


async def test_an_offset_is_not_saved_while_its_rows_are_not_written(worker, store, records):
    """A checkpoint during an outage must not run ahead of what the outage holds up."""
    outlet = SlowOutlet()
    mine = worker(outlet=outlet)
    await mine.start()
    mine.put(records([b"a"], *mine.place))
    await outlet.busy.wait()
    early = asyncio.create_task(mine.runner.checkpoint())
    done, _ = await asyncio.wait([early], timeout=0.3)
    assert not done
    assert (await saved(store, mine.place)).next_offset is None
    outlet.up.set()
    await early
    assert (await saved(store, mine.place)).next_offset == 1


async def test_a_partition_given_up_in_an_outage_is_not_saved_by_its_former_owner(
    worker, store, records
):
    outlet = SlowOutlet()
    mine = worker(outlet=outlet)
    await mine.start()
    mine.put(records([b"a"], *mine.place))
    await outlet.busy.wait()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(mine.runner.on_revoked([mine.place]), 0.2)
    other = worker(place=mine.place)
    assert await other.start() == BEGINNING
    outlet.up.set()
    await mine.runner.checkpoint()
    assert (await saved(store, mine.place)).next_offset is None


async def test_a_worker_that_was_overtaken_stops(worker, store, records, death, until):
    """It was frozen; another has the partition. Its save fails, and it ends with status 70."""
    zombie = worker(EAGER)
    await zombie.start()
    other = worker(place=zombie.place)
    await other.start()
    other.put(records([b"x", b"y"], *zombie.place))
    await other.handled(2)
    await other.runner.checkpoint()
    event = zombie.put(records([b"a"], *zombie.place))
    await until(lambda: death)
    assert set(death) == {70}
    assert not event.acked
    assert (await saved(store, zombie.place)).next_offset == 2


async def test_a_worker_frozen_within_a_transaction_does_not_block_its_successor(
    postgres, store, monkeypatch
):
    """Its locks are freed; when it wakes up, its transaction is gone, not half done."""
    monkeypatch.setattr(database, "IDLE_S", 0.2)
    place, owner = uuid4().hex, uuid4()
    await store.claim("normalize", place, 0, owner)
    frozen = await database.open_pool(postgres, database.WORKER, tenant="*", size=1)
    async with frozen.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        position = stage.Position("normalize", place, 0, owner, 7, {"rows": []}, b"late")
        await store.save(position, connection)
        other = uuid4()
        assert await asyncio.wait_for(store.claim("normalize", place, 0, other), 120) is None
        with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is up to the driver
            await transaction.commit()
        assert database.is_passing(caught.value)
    await frozen.close()
    with pytest.raises(FencedError):
        await store.save(position)


async def test_a_lost_partition_is_forgotten(worker, store, records):
    mine = worker()
    await mine.start()
    mine.put(records([b"a"], *mine.place))
    await mine.handled(1)
    await mine.runner.on_lost([mine.place])
    await mine.runner.checkpoint()
    assert (await saved(store, mine.place)).next_offset is None


async def test_a_batch_that_comes_twice_is_handled_once(worker, records):
    mine = worker()
    await mine.start()
    for _ in range(2):
        mine.put(records([b"a", b"b"], *mine.place))
    mine.put(records([b"c", b"d"], *mine.place, first=2))
    await mine.handled(4)
    assert [sent.value for sent in mine.producer.sent] == [b"2 ab", b"4 cd"]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a partition be quiet soon."""
    monkeypatch.setattr(stage, "QUIET_S", 0.1)


@pytest.mark.usefixtures("impatient")
async def test_what_a_quiet_partition_holds_back_is_let_go_and_saved(worker, store, records):
    mine = worker()
    await mine.start()
    event = mine.put(records([b"a"], *mine.place))
    await asyncio.wait_for(event.done.wait(), 120)
    assert [sent.value for sent in mine.producer.durable] == [b"1 a!"]
    row = await saved(store, mine.place)
    assert (row.next_offset, "flush" in row.ledger) == (1, False)


@pytest.mark.usefixtures("impatient")
async def test_nothing_is_let_go_while_more_is_to_be_read(worker, records):
    """After an outage or in a replay, what completes it is still to come."""
    mine = worker()
    mine.runner.end = lambda topic, partition: 2
    await mine.start()
    mine.put(records([b"a"], *mine.place))
    await mine.handled(1)
    await asyncio.sleep(5 * stage.QUIET_S)  # the ticker has had every chance to be wrong
    assert mine.producer.sent == []
    mine.put(records([b"b"], *mine.place, first=1))
    await mine.handled(2)
    assert [sent.value for sent in mine.producer.sent] == [b"2 ab"]


async def test_a_crash_after_letting_go_does_the_same_again(worker, store, records):
    """The outputs left, the checkpoint after them did not: the next owner makes them too."""
    mine = worker()
    await mine.start()
    mine.put(records([b"a"], *mine.place))
    await mine.handled(1)
    held = mine.runner._held[mine.place]
    note = mine.runner._position(mine.place, held, flush=True)
    await store.save_many([note])
    await mine.kill()
    other = worker(place=mine.place)
    assert await other.start() == 1
    assert [sent.value for sent in other.producer.durable] == [b"1 a!"]
    other.put(records([b"b", b"c"], *mine.place, first=1))
    await other.handled(3)
    assert [sent.value for sent in other.producer.sent] == [b"1 a!", b"3 bc"]
    assert "flush" not in (await saved(store, mine.place)).ledger


class Step(NamedTuple):
    """So many records in a batch, then perhaps a checkpoint, then perhaps a crash."""

    size: int
    checkpoint: bool
    crash: bool


steps = st.lists(st.builds(Step, st.integers(1, 4), st.booleans(), st.booleans()), max_size=8)


@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps)
async def test_whatever_crashes_the_outputs_are_those_of_a_plain_run(store, records, steps):
    """A reader that drops what it had (here: by count) sees exactly what one run makes."""
    place = Place(f"raw.{uuid4().hex}", 0)
    values = [b"%d" % number for number in range(40)]
    seen: dict[bytes, bytes] = {}
    now = Worker(store, place, LAZY)
    offset = max(0, await now.start())
    for step in [*steps, Step(40, True, False)]:
        part = values[offset : offset + step.size]
        if part:
            now.put(records(part, *place, first=offset))
            offset += len(part)
            await now.handled(offset)
        if step.checkpoint:
            await now.runner.checkpoint()
        for sent in now.producer.sent:
            count, _, value = sent.value.partition(b" ")
            assert seen.setdefault(count, value) == value
        if step.crash:
            await now.kill()
            now = Worker(store, place, LAZY)
            offset = max(0, await now.start())
    row = await saved(store, place)
    await now.kill()
    assert offset == 40
    assert list(seen.values()) == [b"%d%d" % (n, n + 1) for n in range(0, 40, 2)]
    assert row.ledger["rows"] == [
        {"stage": "normalize", "tenant": "acme", "source": "s", "in": 40, "out": 40}
    ]


async def test_errors_of_a_task_end_the_process(worker, records, death, monkeypatch):
    """It restarts from its checkpoint: a batch is never skipped."""
    mine = worker()
    await mine.start()
    monkeypatch.setattr(Pairs, "process", lambda self, batch: 1 / 0)
    event = mine.put(records([b"a"], *mine.place))
    with pytest.raises(DiedError):
        await asyncio.wait_for(mine.agent, 120)
    assert death == [70]
    assert not event.acked


async def test_fencing_names_both_owners(store):
    with pytest.raises(FencedError, match="claim before save"):
        await store.save(stage.Position("normalize", uuid4().hex, 0, uuid4(), 1, {"rows": []}, b""))


@pytest.mark.parametrize("words", [True, False])
def test_an_app_that_fails_ends_the_process_whatever_its_last_words(death, monkeypatch, words):
    """Its pump is dead: a worker that lived on would hang without a sound."""

    async def agent(stream: Any) -> None:
        """Never run."""

    monkeypatch.setattr(app.logging, "shutdown", lambda: None)
    if not words:
        monkeypatch.setattr(app, "LOG", None)
    failed = app.build(Settings(kafka="localhost:1"), "normalize", ["raw.pairs"], agent)
    with pytest.raises(DiedError):
        failed.fail(TimeoutError("hooks took longer than 60 s"))
    assert death == [70]
