"""Escalation until somebody acknowledges; tickets that end on either side."""

from __future__ import annotations

import json

import pytest

from sentinel.testing.server import reply

ALERT = """
INSERT INTO alerts (tenant, id, revision, kind, rule_id, title, source, severity_id, score,
  techniques, entity, explanation, status, count, first_seen, last_seen)
VALUES ($1, $2, nextval('alerts_seq'), 'rule', 'r', 't', 's', 4, 0.7, '{}', 'e', '{}', $3, 1,
  now(), now())
"""


@pytest.fixture
def alerts(world):
    """Return ``await alerts(alert, status)``: store an alert, or give it a status."""

    async def store(alert, status="new"):
        key = (alert["tenant"], alert["id"])
        done = await world.pool.execute(
            "UPDATE alerts SET status = $3 WHERE (tenant, id) = ($1, $2::uuid)", *key, status
        )
        if done == "UPDATE 0":
            await world.pool.execute(ALERT, *key, status)

    return store


async def changed(world, alert, status, by="user:ada"):
    """Change a status as the API does."""
    detail = json.dumps({"status": {"from": "new", "to": status}})
    sql = "INSERT INTO alert_history (tenant, alert_id, actor, action, detail)"
    values = "VALUES ($1, $2::uuid, $3, 'change', $4::jsonb)"
    await world.pool.execute(f"{sql} {values}", alert["tenant"], alert["id"], by, detail)


async def test_who_was_told_of_an_alert_is_told_what_becomes_of_it(world, alert, alerts):
    await world.subscribe()
    quiet = {"url": f"{world.server.url}/quiet"}
    await world.subscribe(name="quiet", config=quiet, changes=False)
    new, unknown = alert(world.tenant), alert(world.tenant)
    for each in (new, unknown):
        await alerts(each)
    await world.tell(new)
    await later(world, 1)
    await changed(world, new, "in_progress")
    await changed(world, unknown, "in_progress")
    await later(world, 1)
    await later(world, 1)
    await changed(world, new, "false_positive", by="user:eve")
    await later(world, 1)
    told = world.sent("/hook")
    assert [each["type"] for each in told] == ["alert.created", "alert.updated", "alert.resolved"]
    assert [each["data"]["status"] for each in told] == ["new", "in_progress", "false_positive"]
    assert [each["data"].get("change", {}).get("by") for each in told] == [
        *(None, "user:ada", "user:eve")
    ]
    assert [each["type"] for each in world.sent("/quiet")] == ["alert.created"]


async def later(world, seconds):
    """Let time pass, follow up and send."""
    world.clock.move(seconds)
    await world.sender.follow_up()
    await world.sender.drain()


@pytest.fixture
async def chain(world):
    """Subscribe three: the first, and two that are told when nobody looks at an alert."""
    for name in ("second", "third"):
        # they want nothing of their own
        await world.subscribe(
            name=name,
            config={"url": f"{world.server.url}/{name}"},
            clauses=[{"sources": ["none"]}],
            quiet={"start": "00:00", "end": "23:59"},
        )
    await world.subscribe(
        escalation=[{"after_s": 600, "to": "second"}, {"after_s": 900, "to": "third"}], repeat=1
    )


async def test_an_alert_that_nobody_looks_at_goes_up_and_starts_over(world, alert, alerts, chain):
    new = alert(world.tenant)
    await alerts(new)
    await world.tell(new)
    told = []
    for seconds in (599, 1, 899, 1, 600, 900, 100_000):
        await later(world, seconds)
        told.append((len(world.sent("/second")), len(world.sent("/third"))))
    assert told == [(0, 0), (1, 0), (1, 0), (1, 1), (2, 1), (2, 2), (2, 2)]
    assert {each["type"] for each in world.sent("/second")} == {"alert.escalated"}
    assert await world.rows("SELECT FROM escalations") == []


async def test_whoever_acknowledges_stops_it(world, alert, alerts, chain):
    new = alert(world.tenant)
    await alerts(new)
    await world.tell(new)
    await later(world, 600)
    await alerts(new, "triaged")
    await later(world, 10_000)
    assert len(world.sent("/second")) == 1
    assert world.sent("/third") == []


async def test_an_amendment_does_not_begin_a_second_escalation(world, alert, alerts, chain):
    new = alert(world.tenant)
    await alerts(new)
    await world.tell(new)
    await world.tell(new | {"count": 2}, created=False)
    assert len(await world.rows("SELECT FROM escalations")) == 1


class Desk:
    """A ticket system that remembers what it was asked, and whether the ticket is over."""

    def __init__(self, server):
        self.rows = []
        server.route("GET", "/api/now/table/incident", lambda _: reply({"result": self.rows}))
        server.route("POST", "/api/now/table/incident", self.create)
        server.route("PATCH", "/api/now/table/incident/1", self.change)

    def create(self, request):
        self.rows = [{"sys_id": "1", "number": "INC1", "state": "1"}]
        return reply({"result": self.rows[0]}, 201)

    def change(self, request):
        self.rows[0].update(request.json())
        return reply({"result": self.rows[0]})


@pytest.fixture
async def desk(world):
    found = Desk(world.server)
    config = {"url": world.server.url, "user": "bot", "password": "p"}
    await world.subscribe("servicenow", name="desk", config=config)
    return found


async def test_an_alert_that_is_resolved_here_resolves_its_ticket_once(world, alert, alerts, desk):
    new = alert(world.tenant)
    await alerts(new)
    await world.tell(new)
    await later(world, 1)
    assert desk.rows[0]["state"] == "1"
    await alerts(new, "resolved")
    await later(world, 1)
    assert desk.rows[0]["state"] == "6"
    (ticket,) = await world.rows("SELECT state, reference, url FROM tickets")
    assert (ticket["state"], ticket["reference"]) == ("resolved", "1")
    count = len(world.server.requests)
    await later(world, 100)
    assert len(world.server.requests) == count


async def test_a_ticket_that_is_resolved_there_resolves_the_alert(world, alert, alerts, desk):
    new = alert(world.tenant)
    await alerts(new)
    await world.tell(new)
    await later(world, 61)
    await world.sender._ask()
    desk.rows[0]["state"] = "7"
    world.clock.move(59)
    await world.sender._ask()
    query = "SELECT status, resolved_at IS NOT NULL, version FROM alerts WHERE id = $1"
    assert tuple((await world.rows(query, new["id"]))[0]) == ("new", False, 0)
    world.clock.move(1)
    await world.sender._ask()
    assert tuple((await world.rows(query, new["id"]))[0]) == ("resolved", True, 1)
    assert [row["state"] for row in await world.rows("SELECT state FROM tickets")] == ["resolved"]
    async with world.pool.acquire() as connection:
        await connection.execute("RESET ROLE")
        (row,) = await connection.fetch("SELECT actor, detail FROM alert_history WHERE alert_id=$1",
                                        new["id"])  # fmt: skip
        await connection.execute("SET ROLE sentinel_worker")
    assert row["actor"] == "servicenow:desk"
    assert '"resolved"' in row["detail"]
    await later(world, 1)
    assert desk.rows[0]["state"] == "7", "and is not resolved there once more"
