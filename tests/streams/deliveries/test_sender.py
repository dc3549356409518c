"""Sending: order, retries, independence of subscriptions, and nothing lost whatever fails."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest
from standardwebhooks import Webhook

from sentinel.subscribers import signing
from sentinel.testing.server import Response, failed, reply, throttled
from streams.deliveries import retry
from streams.deliveries.claims import MOST_BYTES


async def test_a_message_is_signed_as_the_specification_says(world, alert):
    world.clock.now = time.time()  # the reference refuses what is old
    secret = signing.new("v1")
    config = {"url": f"{world.server.url}/hook", "secrets": [{"value": secret}]}
    await world.subscribe(config=config)
    sent = alert(world.tenant)
    await world.tell(sent)
    assert await world.sender.drain() == 1
    (request,) = world.server.requests
    message = Webhook(secret).verify(request.body, dict(request.headers))
    assert message["type"] == "alert.created"
    assert message["data"] == sent
    (row,) = await world.rows("SELECT id::text, state FROM deliveries")
    assert (row[0], row[1]) == (request.headers["webhook-id"], "delivered")


async def test_the_same_alert_again_is_told_once(world, alert):
    await world.subscribe()
    once = alert(world.tenant)
    assert [await world.tell(once), await world.tell(once)] == [1, 0]
    assert await world.tell(once | {"count": 2}, created=False) == 1
    await world.sender.drain()
    assert [each["type"] for each in world.sent()] == ["alert.created", "alert.amended"]


async def test_down_for_an_hour_loses_nothing_keeps_the_order_and_holds_up_no_one_else(
    world, alert
):
    """With a clock that is moved: the schedule of the specification, in full length."""
    down = True
    world.server.route("POST", "/down", lambda _: reply({}, 503 if down else 200))
    broken = await world.subscribe(config={"url": f"{world.server.url}/down"})
    await world.subscribe()
    titles = [f"alert {number}" for number in range(60)]
    for number, title in enumerate(titles):
        await world.tell(alert(world.tenant, title=title))
        await world.pass_time(60)
        assert len(world.titles()) == number + 1, "the other subscriber has it at once"
    assert set(await world.states(broken)) == {"pending"}
    assert len(world.server.asked("/down")) == 4  # at once, after 5 s, 5 min and 30 min
    down = False
    await world.pass_time(7200 * 1.2)
    assert set(await world.states(broken)) == {"delivered"}
    assert world.titles("/down")[4:] == titles
    ids = [request.headers["webhook-id"] for request in world.server.asked("/down")]
    assert len(set(ids)) == 60
    assert len(set(ids[:5])) == 1, "every attempt of a message has the same id"


async def test_retry_after_is_obeyed(world, alert):
    ident = await world.subscribe()
    world.server.script("/hook", throttled(100), failed(503))
    await world.tell(alert(world.tenant))
    await world.sender.drain()
    await world.pass_time(99)
    assert len(world.server.requests) == 1
    await world.pass_time(2)
    assert len(world.server.requests) == 2
    await world.pass_time(300 * 1.2)
    assert await world.states(ident) == ["delivered"]
    attempts = await world.rows("SELECT status, attempt FROM delivery_attempts ORDER BY attempt")
    assert [tuple(row) for row in attempts] == [(429, 1), (503, 2), (200, 3)]


async def test_gone_switches_the_subscription_off_and_keeps_what_was_not_delivered(world, alert):
    ident = await world.subscribe()
    world.server.script("/hook", failed(410))
    await world.tell(alert(world.tenant), alert(world.tenant))
    await world.pass_time(10)
    assert len(world.server.requests) == 1
    (row,) = await world.rows("SELECT enabled, disabled_reason FROM subscriptions")
    assert tuple(row) == (False, "the receiver answered 410 Gone")
    assert await world.states(ident) == ["pending", "pending"]
    assert await world.tell(alert(world.tenant)) == 0, "nobody is told any more"


async def test_after_the_whole_schedule_without_success_it_is_switched_off_and_nothing_lost(
    world, alert
):
    world.server.route("POST", "/hook", lambda _: reply({}, 500))
    ident = await world.subscribe()
    await world.tell(alert(world.tenant))
    for wait in retry.SCHEDULE:
        await world.pass_time(wait * (1 + retry.JITTER))
    assert len(world.server.requests) == len(retry.SCHEDULE)
    (row,) = await world.rows("SELECT enabled, disabled_reason FROM subscriptions")
    assert not row["enabled"]
    assert "expected 2xx, found 500" in row["disabled_reason"]
    assert await world.states(ident) == ["pending"]


async def test_redirects_are_not_followed(world, alert):
    world.server.route(
        "POST", "/hook", lambda _: Response(302, b"", {"Location": f"{world.server.url}/other"})
    )
    await world.subscribe()
    await world.tell(alert(world.tenant))
    await world.sender.drain()
    assert [request.path for request in world.server.requests] == ["/hook"]
    (row,) = await world.rows("SELECT error FROM deliveries")
    assert "redirects are not followed" in row["error"]


async def test_a_slow_receiver_is_given_up_on_after_the_time_out(world, alert):
    hold = asyncio.Event()

    async def answer(reader, writer):
        await hold.wait()
        writer.close()

    slow = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = slow.sockets[0].getsockname()[1]
    await world.subscribe(config={"url": f"http://127.0.0.1:{port}/"}, timeout_s=0.2)
    await world.tell(alert(world.tenant))
    await world.sender.drain()
    (row,) = await world.rows("SELECT state, error FROM deliveries")
    assert tuple(row) == ("pending", "no whole answer within 0.2 s")
    hold.set()
    slow.close()


async def test_a_batch_gathers_alerts_and_keeps_its_id_when_it_is_tried_again(world, alert):
    ident = await world.subscribe(batch_size=3, batch_wait_s=60)
    await world.tell(*[alert(world.tenant, title=f"{n}") for n in range(4)])
    world.server.script("/hook", failed())
    await world.sender.drain()
    await world.tell(alert(world.tenant, title="4"))
    await world.pass_time(10)  # tried again; the rest waits
    first, second = world.server.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
    assert world.titles() == ["0", "1", "2"] * 2
    await world.pass_time(60)
    assert world.titles()[6:] == ["3", "4"]
    assert set(await world.states(ident)) == {"delivered"}
    assert {each["type"] for each in world.sent()} == {"alert.batch"}


async def test_a_batch_is_bounded_by_bytes_and_what_is_larger_goes_alone(world, alert):
    ident = await world.subscribe(batch_size=100)
    sizes = [MOST_BYTES // 3, MOST_BYTES // 3, MOST_BYTES // 2, 2 * MOST_BYTES, 10, 10]
    told = [alert(world.tenant, title=f"{n}", entity="é" * (s // 2)) for n, s in enumerate(sizes)]
    assert await world.tell(*told) == len(told)
    world.server.script("/hook", failed())
    await world.sender.drain()
    await world.tell(alert(world.tenant, title="6"))  # comes too late for the batch that failed
    await world.pass_time(10)

    groups = [[item["data"]["title"] for item in each["data"]["items"]] for each in world.sent()]
    assert groups == [["0", "1"], ["0", "1"], ["2"], ["3"], ["4", "5", "6"]]
    requests = world.server.requests
    assert requests[0].headers["webhook-id"] == requests[1].headers["webhook-id"]
    assert len({each.headers["webhook-id"] for each in requests[1:]}) == 4
    lengths = [len(each.body) for each in requests]
    assert [length > 1 << 20 for length in lengths] == [False, False, False, True, False]
    assert set(await world.states(ident)) == {"delivered"}


async def test_with_concurrency_one_alert_that_fails_does_not_hold_up_the_others(world, alert):
    ident = await world.subscribe(concurrency=16)
    bad = alert(world.tenant, id="00000000-0000-0000-0000-000000000001", title="bad")
    good = alert(world.tenant, id="00000000-0000-0000-0000-000000000002", title="good")
    world.server.route(
        "POST", "/hook", lambda request: reply({}, 500 if b'"bad"' in request.body else 200)
    )
    await world.tell(bad, good)
    await world.tell(bad | {"count": 2}, created=False)
    await world.sender.drain()
    assert await world.states(ident) == ["pending", "delivered", "pending"]


async def test_two_senders_send_each_message_once_and_in_order(world, alert):
    ident = await world.subscribe()
    titles = [f"{n}" for n in range(20)]
    await world.tell(*[alert(world.tenant, title=title) for title in titles])
    other = world.new_sender()
    while set(await world.states(ident)) != {"delivered"}:
        await asyncio.gather(world.sender.drain(), other.drain())
    assert world.titles() == titles


async def test_a_sender_that_dies_after_sending_is_taken_over_with_the_same_id(world, alert, until):
    ident = await world.subscribe()
    await world.tell(alert(world.tenant))
    dying = world.new_sender()
    await dying.look()
    await until(lambda: bool(world.server.requests))
    for task in list(dying._under_way):
        task.cancel()
    await asyncio.gather(*dying._under_way, return_exceptions=True)
    assert await world.pass_time(60) == 0, "its lease holds"
    await world.pass_time(60)
    assert await world.states(ident) == ["delivered"]
    assert len({request.headers["webhook-id"] for request in world.server.requests}) == 1


async def test_for_real_a_receiver_that_is_down_for_a_moment_gets_everything_in_order(
    world, alert, until, monkeypatch
):
    """Real time, real sockets, a sender that runs: with a schedule in tenths of seconds."""
    monkeypatch.setattr(retry, "SCHEDULE", (0.0, 0.05, 0.1) * 50)
    down = True
    world.server.route("POST", "/down", lambda _: reply({}, 503 if down else 200))
    broken = await world.subscribe(config={"url": f"{world.server.url}/down"})
    await world.subscribe()
    titles = [f"{n}" for n in range(30)]
    loop = asyncio.get_running_loop()
    start, base = loop.time(), world.clock.now
    world.sender._now = lambda: world.now + timedelta(seconds=loop.time() - start)
    running = asyncio.create_task(world.sender.run())
    for title in titles:
        await world.tell(alert(world.tenant, title=title))
        world.sender.wake()
    await until(lambda: len(world.titles()) == 30)
    assert set(await world.states(broken)) == {"pending"}
    down = False
    world.sender.wake()
    await until(lambda: world.titles("/down")[-1:] == titles[-1:])
    await until(lambda: not world.sender._under_way)
    assert set(await world.states(broken)) == {"delivered"}
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert base == world.clock.now
    assert world.titles() == titles
    attempts = [t for t in world.titles("/down") if t != "0"]
    assert attempts == titles[1:]


async def test_filters_choose_and_other_tenants_see_nothing(world, alert):
    await world.subscribe(clauses=[{"min_severity": "high", "sources": ["cloud*"]}])
    await world.subscribe(
        config={"url": f"{world.server.url}/technique"}, clauses=[{"techniques": ["T1078"]}]
    )
    await world.subscribe(config={"url": f"{world.server.url}/theirs"}, tenant="another-tenant")
    await world.subscribe(
        config={"url": f"{world.server.url}/operator"}, tenant="*", clauses=[{"entities": ["r?ot"]}]
    )
    await world.tell(
        alert(world.tenant, title="1"),
        alert(world.tenant, title="2", severity="low", entity="ada"),
        alert(world.tenant, title="3", source="okta", techniques=["T1110"]),
    )
    await world.sender.drain()
    assert world.titles() == ["1"]
    assert world.titles("/technique") == ["1", "2"]
    assert world.titles("/operator") == ["1", "3"]
    assert world.titles("/theirs") == []


async def test_quiet_hours_and_digests_hold_back_all_but_what_is_urgent(world, alert):
    # 2027-01-15 08:00 UTC
    night = {"start": "07:00", "end": "09:00"}
    await world.subscribe(quiet=night)
    await world.subscribe(config={"url": f"{world.server.url}/digest"}, digest={"every": "1h"})
    await world.tell(alert(world.tenant, title="a"), alert(world.tenant, title="b"))
    await world.tell(alert(world.tenant, title="c", severity="critical"))
    await world.sender.drain()
    assert world.titles() == ["c"]
    assert world.titles("/digest") == ["c"]
    await world.pass_time(3599)
    assert world.titles() == ["c"]
    await world.pass_time(1)
    assert world.titles() == ["c", "a", "b"]
    assert world.titles("/digest") == ["c", "a", "b"]
    assert len(world.server.asked("/digest")) == 2
