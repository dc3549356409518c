"""Work on alerts: what people change is kept, told, and never lost to another's change."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from confluent_kafka import Consumer

from api.app import create
from api.routes.alert_work import Bulked, Timeline
from api.routes.alerts import Alert
from sentinel.kafka import create_topics
from sentinel.settings import Settings
from sentinel.topics import FEEDBACK


async def changed(client: Any, identity: str, **what: Any) -> dict[str, Any]:
    answer = await client.patch(f"/v1/alerts/{identity}", json=what)
    assert answer.status_code == 200, answer.text
    Alert.model_validate(answer.json())
    found: dict[str, Any] = answer.json()
    return found


async def entries(client: Any, identity: str, limit: int = 100) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    params: dict[str, Any] = {"limit": limit}
    while True:
        page = (await client.get(f"/v1/alerts/{identity}/timeline", params=params)).json()
        Timeline.model_validate(page)
        found += page["items"]
        if page["next"] is None:
            return found
        params["cursor"] = page["next"]


async def test_an_alert_lives_through_its_statuses_and_says_so(client, seed, tenant) -> None:
    row = await seed.alert(events=2)
    await changed(client, row.id, status="triaged", assignee="user:ada")
    await changed(client, row.id, status="in_progress", comment="Asked the owner")
    found = await changed(client, row.id, status="resolved")
    assert (found["status"], found["assignee"], found["count"]) == ("resolved", "user:ada", 2)
    assert (await client.get(f"/v1/alerts/{row.id}")).json()["status"] == "resolved"
    for query, number in {"status:resolved": 1, "status:new": 0, 'assignee:"user:ada"': 1}.items():
        params = {"tenant": tenant, "query": query}
        assert len((await client.get("/v1/alerts", params=params)).json()["items"]) == number
    happened = await entries(client, row.id)
    assert happened == await entries(client, row.id, 1)
    assert sorted(entry["action"] for entry in happened) == [
        *("change", "change", "change", "comment", "event", "event")
    ]
    first = next(entry for entry in happened if entry["action"] == "change")
    assert first["detail"]["status"] == {"from": "new", "to": "triaged"}
    assert first["actor"]


async def test_of_two_that_change_the_same_version_one_is_told(client, seed) -> None:
    row = await seed.alert()
    seen = (await client.get(f"/v1/alerts/{row.id}")).headers["etag"]
    odd = row.events[0]._replace(uid=uuid4().bytes)
    await seed.write(row._replace(count=2, events=[odd]))  # events that join are no conflict
    path, match = f"/v1/alerts/{row.id}", {"If-Match": seen}
    first = await client.patch(path, json={"status": "triaged"}, headers=match)
    second = await client.patch(path, json={"status": "resolved"}, headers=match)
    assert (first.status_code, second.status_code) == (200, 412)
    assert "somebody changed it meanwhile" in second.json()["detail"]
    match["If-Match"] = first.headers["etag"]
    assert (await client.patch(path, json={"assignee": "x"}, headers=match)).status_code == 200


async def test_an_amendment_leaves_what_people_said(client, seed) -> None:
    row = await seed.alert()
    await changed(client, row.id, status="in_progress", assignee="user:eve")
    await seed.write(row._replace(count=5, severity_id=5, events=[]))
    found = (await client.get(f"/v1/alerts/{row.id}")).json()
    assert (found["status"], found["assignee"]) == ("in_progress", "user:eve")
    assert (found["count"], found["severity"]) == (5, "critical")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({}, "at least one of"),
        ({"status": "suppressed"}, "status"),
        ({"disposition": "benign"}, "needs a `reason`"),
        ({"status": "false_positive"}, "needs a `reason`"),
        ({"disposition": "benign", "reason": " "}, "reason"),
        ({"status": "new", "severity": "low"}, "severity"),
        ({"comment": "\x00"}, "comment"),
    ],
)
async def test_what_cannot_be_is_refused(client, seed, what, message) -> None:
    row = await seed.alert()
    answer = await client.patch(f"/v1/alerts/{row.id}", json=what)
    assert answer.status_code == 422
    assert message in answer.json()["detail"]


async def test_what_is_not_there_cannot_be_changed(client) -> None:
    answer = await client.patch(f"/v1/alerts/{uuid4()}", json={"status": "triaged"})
    assert answer.status_code == 404


async def test_many_are_changed_at_once_by_id_or_by_what_a_search_finds(
    client, seed, tenant
) -> None:
    rows = [await seed.alert(rule_id="noisy") for _ in range(3)]
    other = await seed.alert()
    nobody = str(uuid4())
    given = {"ids": [other.id, nobody], "change": {"status": "triaged"}}
    answer = (await client.post("/v1/alerts/bulk", json=given)).json()
    Bulked.model_validate(answer)
    assert answer == {"changed": 1, "unchanged": 0, "missing": [nobody]}
    query = f"rule:noisy AND status:new AND tenant:{tenant}"
    change = {"status": "in_progress", "comment": "one cause"}
    answer = await client.post("/v1/alerts/bulk", json={"query": query, "change": change})
    assert answer.json()["changed"] == 3, answer.text
    for row in rows:
        assert (await client.get(f"/v1/alerts/{row.id}")).json()["status"] == "in_progress"
    for wrong in ({"change": change}, {"ids": [], "change": change}, given | {"query": "x"}):
        assert (await client.post("/v1/alerts/bulk", json=wrong)).status_code == 422


async def test_one_stands_for_others(client, seed) -> None:
    into, one, two = [await seed.alert() for _ in range(3)]
    path = f"/v1/alerts/{into.id}/merge"
    answer = await client.post(path, json={"ids": [one.id, two.id]})
    assert answer.status_code == 200, answer.text
    found = (await client.get(f"/v1/alerts/{one.id}")).json()
    assert (found["merged_into"], found["status"]) == (into.id, "resolved")
    detail = next(each for each in await entries(client, into.id) if each["action"] == "merge")
    assert set(detail["detail"]["alerts"]) == {one.id, two.id}
    assert (await client.post(path, json={"ids": [into.id]})).status_code == 422
    chain = await client.post(f"/v1/alerts/{one.id}/merge", json={"ids": [two.id]})
    assert chain.status_code == 409


def published(kafka: str, alert: str) -> Any:
    """Return what the topic `feedback` says of an alert."""
    config = {"bootstrap.servers": kafka, "group.id": uuid4().hex, "auto.offset.reset": "earliest"}
    consumer = Consumer(config)
    consumer.subscribe([FEEDBACK])
    try:
        while True:
            message = consumer.poll(120)
            assert message is not None
            if message.error() is not None:
                continue  # it passes
            if message.key().endswith(alert.encode()):  # others use the topic too
                return json.loads(message.value())
    finally:
        consumer.close()


@pytest.mark.e2e
async def test_feedback_that_waits_leaves_with_the_next_start(
    connect, kafka, postgres, home, tenant
) -> None:
    settings = Settings(home=home, postgres=postgres, kafka=kafka, elasticsearch="")
    create_topics(settings, [])
    alert = str(uuid4())
    owner = await asyncpg.connect(postgres)
    await owner.execute("SELECT set_config('sentinel.tenant', '*', false)")
    body = json.dumps({"alert_id": alert})
    sql = "INSERT INTO feedback_outbox (tenant, key, body) VALUES ($1, $2, $3)"
    await owner.execute(sql, tenant, alert, body)
    async with connect(application=create(settings)):
        assert await asyncio.to_thread(published, kafka, alert) == {"alert_id": alert}
        sql = "SELECT count(*) FROM feedback_outbox WHERE key = $1"
        while await owner.fetchval(sql, alert):  # noqa: ASYNC110 # nothing says when it is gone
            await asyncio.sleep(0.05)
    await owner.close()


@pytest.mark.e2e
async def test_a_disposition_is_published_with_its_reason(
    connect, seed, kafka, postgres, home
) -> None:
    settings = Settings(home=home, postgres=postgres, kafka=kafka, elasticsearch="")
    create_topics(settings, [])
    row = await seed.alert()
    async with connect(application=create(settings)) as client:
        reason = "Planned key rotation"
        found = await changed(client, row.id, status="false_positive", reason=reason)
    assert (found["disposition"], found["disposition_reason"]) == ("false_positive", reason)
    told = published(kafka, row.id)
    assert told["disposition"] == "false_positive"
    assert told["reason"] == reason
    assert told["rule_id"] == "rule-1"
