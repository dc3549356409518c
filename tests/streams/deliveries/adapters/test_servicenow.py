"""ServiceNow on a double that keeps incidents: created once, noted, resolved from either side."""

from __future__ import annotations

import pytest

from sentinel.testing.server import cut, failed, reply

TABLE = "/api/now/table/incident"


class Incidents:
    """Enough of the Table API."""

    def __init__(self, server):
        self.all = {}
        server.route("GET", TABLE, self.find)
        server.route("POST", TABLE, self.create)
        server.route("PATCH", f"{TABLE}/[^/]+", self.change)

    def find(self, request):
        name, _, value = request.param("sysparm_query").partition(
            "IN" if "IN" in request.param("sysparm_query") else "="
        )
        wanted = value.split(",")
        return reply({"result": [row for row in self.all.values() if row[name] in wanted]})

    def create(self, request):
        sys_id = f"{len(self.all) + 1:032x}"
        self.all[sys_id] = request.json() | {"sys_id": sys_id, "number": "INC1", "state": "1"}
        return reply({"result": self.all[sys_id]}, 201)

    def change(self, request):
        row = self.all[request.path.rsplit("/", 1)[1]]
        row.update(request.json())
        return reply({"result": row})


@pytest.fixture
def incidents(server):
    return Incidents(server)


@pytest.fixture
def desk(adapter, server):
    return adapter("servicenow", {"url": server.url, "user": "bot", "password": "p"})


async def test_created_noted_and_resolved(desk, incidents, server, item, message):
    told = item()
    made = await desk.send(message(told))
    (row,) = incidents.all.values()
    assert (made.reference, row["urgency"], row["impact"]) == (row["sys_id"], "1", "1")
    assert row["correlation_id"] == f"sentinel-{told.data['id']}"
    again = message(told._replace(type="alert.amended"), reference=made.reference)
    await desk.send(again)
    assert "Entity: root" in row["work_notes"]
    assert await desk.closed([made.reference]) == set()
    over = message(told._replace(type="alert.resolved"), reference=made.reference)
    assert not (await desk.send(over)).error
    assert (row["state"], row["close_code"]) == ("6", "Resolved by caller")
    assert await desk.closed([made.reference]) == {made.reference}
    count = len(server.requests)
    assert not (await desk.send(over)).error
    assert {r.method for r in server.requests[count:]} == {"GET"}, "it is over already"


async def test_where_the_answer_was_lost_the_incident_is_found_again(
    desk, incidents, server, item, message
):
    told = message(item())
    server.script(TABLE, None, cut())
    assert (await desk.send(told)).error
    assert not (await desk.send(told)).error
    assert len(incidents.all) == 1


async def test_errors(desk, incidents, server, message):
    server.script(TABLE, failed(401))
    assert (await desk.send(message())).status == 401
    assert incidents.all == {}
