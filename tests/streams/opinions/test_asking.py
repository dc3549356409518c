"""Services outside are asked about alerts over HTTP, within quotas, and never in an alert's way."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import orjson
import pytest

from sentinel.errors import SettingsError
from sentinel.settings import Settings
from sentinel.subscribers.model import Options, Subscription
from sentinel.testing.server import cut, failed, malformed, throttled
from streams.deliveries.service import Deliveries
from streams.opinions import config
from streams.opinions.follow_up import follow_up

BAD, FINE, PRIVATE = "9.9.9.9", "8.8.4.4", "10.1.2.3"
ALL = ("virustotal", "abuseipdb", "shodan")


async def test_an_alert_shows_what_three_services_say(world):
    world.double.known |= {BAD: 12}
    asking = await world.asking(*ALL)
    await asking.look()
    ident = await world.alert(BAD, PRIVATE, "192.0.2.7", "fe80::1%eth0")
    await asking.look()
    for name in ALL:
        assert await asking.step(name) == 0.0
    assert await world.said(ident) == {
        f"virustotal {BAD}": ("answered", "12 of 90 engines"),
        f"abuseipdb {BAD}": ("answered", "abuse confidence 60 %, 12 reports in 90 days"),
        f"shodan {BAD}": (
            "answered",
            "ports 22, 4444; tagged vpn; vulnerable to CVE-2021-44228",
        ),
    }
    sent = " ".join(f"{each.path} {each.query}" for each in world.server.requests)
    assert len(world.server.requests) == 3, "what is private or documentation was asked about"
    assert not [each for each in (PRIVATE, "192.0.2.7", "fe80") if each in sent]


async def test_what_was_said_is_not_asked_again_until_it_expires(world):
    world.double.known |= {BAD: 3}
    asking = await world.asking("virustotal", keep_h=24)
    await asking.look()
    first = await world.alert(BAD)
    await asking.look()
    await asking.look()  # the same alert twice is once
    await asking.step("virustotal")
    second = await world.alert(BAD)
    await asking.look()
    assert (await world.said(first)) == (await world.said(second))
    assert len(world.server.requests) == 1
    world.clock.move(25 * 3600)
    third = await world.alert(BAD)
    await world.pool.execute("UPDATE alerts SET created_at = $2 WHERE id = $1", third, world.now())
    await asking.look()
    await asking.step("virustotal")
    assert len(world.server.requests) == 2


async def test_alerts_that_wait_for_the_same_answer_ask_once(world):
    world.double.known |= {BAD: 3}
    asking = await world.asking("virustotal")
    await asking.look()
    idents = [await world.alert(BAD) for _ in range(3)]
    await asking.look()
    await asking.step("virustotal")
    assert {(await world.said(each))[f"virustotal {BAD}"][1] for each in idents} == {
        "3 of 90 engines"
    }
    assert len(world.server.requests) == 1


async def test_no_more_is_asked_than_the_quota_allows(world):
    asking = await world.asking(
        "virustotal", most=10, options={"virustotal": {"per_minute": 4, "per_day": 3}}
    )
    await asking.look()
    await world.alert(*(f"9.9.9.{number}" for number in range(1, 7)))
    await asking.look()
    assert await asking.step("virustotal") == 0.0
    assert 14 <= await asking.step("virustotal") <= 15, "four a minute are 15 s apart"
    for _ in range(4):
        world.clock.move(15)
        await asking.step("virustotal")
    assert len(world.server.requests) == 3, "more than the day's quota"
    again = await world.asking("virustotal", options={"virustotal": {"per_day": 3}})
    await again.step("virustotal")
    assert len(world.server.requests) == 3, "a restart forgot the quota"
    world.clock.move(86_400)
    await again.step("virustotal")
    assert len(world.server.requests) == 4


@pytest.mark.parametrize(
    ("name", "waits"), [("virustotal", 60), ("abuseipdb", 3600), ("shodan", 60)]
)
async def test_beyond_their_quota_services_are_left_alone(world, name, waits):
    """AbuseIPDB says for how long (``Retry-After``); the others do not, so longer each time."""
    world.double.known |= {BAD: 1}
    world.double.left = 0
    asking = await world.asking(name)
    await asking.look()
    ident = await world.alert(BAD)
    await asking.look()
    await asking.step(name)
    for _ in range(3):
        world.clock.move(waits / 3 - 1)
        await asking.step(name)
    assert len(world.server.requests) == 1
    assert (await world.said(ident))[f"{name} {BAD}"][0] == "pending"
    world.double.left = None
    world.clock.move(4)
    await asking.step(name)
    assert (await world.said(ident))[f"{name} {BAD}"][0] == "answered"


async def test_a_wrong_key_is_said_not_tried_over_and_over(world, monkeypatch):
    monkeypatch.setenv("REPUTATION_KEY", "wrong")
    asking = await world.asking(*ALL)
    await asking.look()
    ident = await world.alert(BAD)
    await asking.look()
    for _ in range(3):
        for name in ALL:
            await asking.step(name)
    assert len(world.server.requests) == 3
    assert (await world.said(ident))[f"shodan {BAD}"] == ("pending", "Shodan answered 401")


async def test_faults_are_tried_again_and_then_given_up(world):
    world.double.known |= {BAD: 5, FINE: 0}
    asking = await world.asking("virustotal")
    await asking.look()
    faults = (malformed(), cut(), failed(503), malformed(b"[]"), malformed(b'{"data": 7}'))
    world.server.script("/virustotal/.*", *faults)
    ident = await world.alert(BAD)
    await asking.look()
    for _ in range(8):
        await asking.step("virustotal")
        world.clock.move(3600)
    state, reason = (await world.said(ident))[f"virustotal {BAD}"]
    assert state == "failed"
    assert reason == "expected an object 'data' in the answer, found int"
    assert len(world.server.requests) == 5
    other = await world.alert(FINE)
    await world.pool.execute("UPDATE alerts SET created_at = $2 WHERE id = $1", other, world.now())
    await asking.look()
    await asking.step("virustotal")
    assert (await world.said(other))[f"virustotal {FINE}"] == ("answered", "0 of 90 engines")


async def test_a_service_that_says_when_is_asked_then(world):
    world.double.known |= {BAD: 5}
    world.server.script("/virustotal/.*", throttled(7))
    asking = await world.asking("virustotal")
    await asking.look()
    ident = await world.alert(BAD)
    await asking.look()
    await asking.step("virustotal")
    assert 6 <= await asking.step("virustotal") <= 7
    world.clock.move(7.1)
    await asking.step("virustotal")
    assert (await world.said(ident))[f"virustotal {BAD}"][0] == "answered"


async def test_only_alerts_that_matter_are_asked_about(world):
    asking = await world.asking("virustotal", never=["9.9.8.0/24"])
    before = await world.alert(BAD)
    await world.forget()
    await asking.look()
    low = await world.alert(BAD, severity=2)
    quiet = await world.alert(BAD, status="suppressed")
    ours = await world.alert("9.9.8.1")
    await asking.look()
    for each in (before, low, quiet, ours):
        assert await world.said(each) == {}


async def test_two_processes_ask_once(world):
    world.double.known |= {BAD: 5}
    one, other = await world.asking("virustotal"), await world.asking("virustotal")
    await one.look()
    await world.alert(BAD)
    await asyncio.gather(one.look(), other.look())
    await asyncio.gather(one.step("virustotal"), other.step("virustotal"))
    assert len(world.server.requests) == 1


async def test_a_question_whose_asker_died_is_asked_again(world):
    world.double.known |= {BAD: 5}
    asking = await world.asking("virustotal")
    await asking.look()
    ident = await world.alert(BAD)
    await asking.look()
    await world.pool.execute(
        "UPDATE opinions SET due_at = $1, attempts = 1", world.now() + timedelta(minutes=3)
    )
    await asking.step("virustotal")
    assert world.server.requests == []
    world.clock.move(181)
    await asking.step("virustotal")
    assert (await world.said(ident))[f"virustotal {BAD}"][0] == "answered"


async def test_it_runs_until_it_is_cancelled_and_a_dead_service_holds_up_no_other(world):
    world.double.known |= {BAD: 5}
    dead = {"virustotal": {"url": "http://127.0.0.1:9"}}
    asking = await world.asking("virustotal", "shodan", options=dead)
    await asking.look()
    ident = await world.alert(BAD)
    task = asyncio.create_task(asking.run())
    async with asyncio.timeout(20):
        await world.answered(ident, "shodan")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (await world.said(ident))[f"virustotal {BAD}"][0] == "pending"


async def test_subscribers_are_told_what_was_said_once(world):
    world.double.known |= {BAD: 12}
    asking = await world.asking("virustotal")
    await asking.look()
    ident = await world.alert(BAD)
    await asking.look()
    services = {name: cls() for name, cls in config.found().items()}
    sub = uuid4()
    async with world.pool.acquire() as connection:
        await connection.execute("RESET ROLE")
        await connection.execute(
            "INSERT INTO subscriptions (tenant, id, name, kind, config, secrets, filter, options,"
            " concurrency, batch_size) VALUES ($1, $2, 'a', 'webhook', '{}', '', '[]', '{}', 4, 1)",
            *(world.tenant, sub),
        )
        await connection.execute("SET ROLE sentinel_worker")
        data = {"id": str(ident), "tenant": world.tenant, "title": "t", "severity": "high"}
        payload = orjson.dumps({"type": "alert.created", "data": data}).decode()
        await connection.execute(
            "INSERT INTO deliveries (tenant, id, subscription_id, lane, type, alert_tenant,"
            " alert_id, revision, payload, due_at)"
            " VALUES ($1, $2, $3, 0, 'alert.created', $1, $4, 1, $5, now())",
            *(world.tenant, uuid4(), sub, ident, payload),
        )
    known = {
        sub: Subscription(
            tenant=world.tenant,
            id=sub,
            name="a",
            kind="webhook",
            version=1,
            enabled=True,
            config={},
            filter=[],
            options=Options(),
            created_at=world.now(),
        )
    }
    assert await follow_up(world.pool, known, services, world.now()) == 0, "nothing was said yet"
    await asking.step("virustotal")
    assert await follow_up(world.pool, known, services, world.now()) == 1
    assert await follow_up(world.pool, known, services, world.now()) == 0, "told twice"
    row = await world.pool.fetchrow(
        "SELECT payload FROM deliveries WHERE alert_id = $1 AND type = 'alert.opinions'", ident
    )
    assert orjson.loads(row[0])["data"]["opinions"] == [f"VirusTotal: 12 of 90 engines ({BAD})"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("services: {virustotal: {key: abc}}", "keys do not stand in this file"),
        ("services: {virustotall: {key: 'env:REPUTATION_KEY'}}", "expected services of abuseipdb"),
        ("services: {shodan: {key: 'env:NO_SUCH_VARIABLE'}}", "NO_SUCH_VARIABLE"),
        ("services: {}\nnever: [10.0.0.1/8]", "host bits"),
        ("services: [", "expected YAML"),
        ("", "valid dictionary"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_the_reason(tmp_path, monkeypatch, text, reason):
    monkeypatch.setenv("REPUTATION_KEY", "x")
    path = tmp_path / "opinions.yml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=reason):
        config.load(path)
    assert not Settings().opinions, "something leaves the machine though nobody asked for it"


async def test_the_stage_that_delivers_asks_beside_it(world, postgres, tmp_path):
    """As a worker runs it; without the setting nobody is asked."""
    world.double.known |= {BAD: 12}
    asking = await world.asking("virustotal")
    await asking.look()
    home = Settings(home=tmp_path, postgres=postgres, deliver_allow="127.0.0.1")
    quiet = await Deliveries.open(home)
    assert quiet._opinions is None
    await quiet.close()
    ident = await world.alert(BAD)
    settings = home.model_copy(update={"opinions": str(next(tmp_path.glob("*.yml")))})
    deliveries = await Deliveries.open(settings)
    task = asyncio.create_task(deliveries.run())
    async with asyncio.timeout(30):
        await world.answered(ident, "virustotal")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await deliveries.close()


async def test_a_value_can_be_asked_about_by_hand(world):
    world.double.known |= {BAD: 12}
    asking = await world.asking("virustotal", "shodan", never=["9.9.8.0/24"])
    world.server.script("/shodan/.*", failed(503))
    found = await asking.once(BAD)
    assert found["virustotal"].said == "12 of 90 engines"
    assert found["shodan"] == "status 503"
    assert (await asking.once("a" * 64))["shodan"] == "does not know a hash"
    before = len(world.server.requests)
    for refused in (PRIVATE, "9.9.8.7", "db01", "https://example.com/?token=x"):
        with pytest.raises(SettingsError, match="nobody is asked about it"):
            await asking.once(refused)
    assert len(world.server.requests) == before
