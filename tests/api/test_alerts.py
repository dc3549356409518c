"""What a person sees of alerts: the right ones, all of them, and only their own."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from api.routes.alerts import Alert, AlertDetail

NOW = time.time_ns() // 1_000_000
FIELDS = ["id", "time", "tenant", "source", "severity", "score", "rule_id", "title"]
FIELDS += ["techniques", "entity", "event_uids", "explanation", "status", "count"]
FIELDS += ["assignee", "disposition", "disposition_reason", "merged_into", "suppression"]
FIELDS += ["updated_at"]
TOKEN = "a-token-of-one-tenant,-long-enough"


async def listed(client: httpx.AsyncClient, tenant: str, **params: Any) -> list[dict[str, Any]]:
    """Return the items of all pages."""
    items: list[dict[str, Any]] = []
    cursor = None
    while True:
        given = {"tenant": tenant, **params} | ({"cursor": cursor} if cursor else {})
        response = await client.get("/v1/alerts", params=given)
        assert response.status_code == 200, response.text
        page = response.json()
        items += page["items"]
        cursor = page["next"]
        if cursor is None:
            return items


async def test_an_alert_has_exactly_the_fields_that_scripts_rely_on(client, seed, tenant) -> None:
    row = await seed.alert(events=2)
    (found,) = await listed(client, tenant)
    assert list(found) == FIELDS
    Alert.model_validate(found)
    assert found["id"] == row.id
    assert set(found["event_uids"]) == {str(UUID(bytes=event.uid)) for event in row.events}
    assert (found["severity"], found["status"], found["count"]) == ("high", "new", 2)
    assert found["explanation"] == {"matched": {"eventName": "ConsoleLogin"}}
    assert datetime.fromisoformat(found["time"]).timestamp() * 1000 == row.first_seen


async def test_every_filter_keeps_what_fits_and_drops_the_rest(client, seed, tenant) -> None:
    now = datetime.now(UTC)
    old = int((now - timedelta(days=30)).timestamp() * 1000)
    plain = await seed.alert(
        first_seen=NOW - 1000,
        severity_id=2,
        rule_id="other",
        entity="eve",
        source="auditd",
        techniques=["T1059"],
    )
    early = await seed.alert(first_seen=old, last_seen=old, techniques=["T1078"])
    worst = await seed.alert(severity_id=5, first_seen=NOW, last_seen=NOW)
    cases: list[tuple[dict[str, Any], list[Any]]] = [
        ({}, [worst, plain, early]),
        ({"severity": "low"}, [plain]),
        ({"severity": ["low", "critical"]}, [worst, plain]),
        ({"min_severity": "high"}, [worst, early]),
        ({"rule": "other"}, [plain]),
        ({"entity": "eve"}, [plain]),
        ({"source": "auditd"}, [plain]),
        ({"technique": "T1078"}, [worst, early]),
        ({"technique": "T1078.004"}, [worst]),
        ({"technique": "T107"}, []),
        ({"status": "new"}, [worst, plain, early]),
        ({"status": "closed"}, []),
        ({"since": (now - timedelta(days=1)).isoformat()}, [worst, plain]),
        ({"until": (now - timedelta(days=1)).isoformat()}, [early]),
    ]
    for params, expected in cases:
        found = await listed(client, tenant, **params)
        assert [item["id"] for item in found] == [row.id for row in expected], params


async def test_pages_stay_stable_while_alerts_are_added(client, seed, tenant) -> None:
    before = [await seed.alert(first_seen=NOW + step) for step in range(7)]
    first = (await client.get("/v1/alerts", params={"tenant": tenant, "limit": 3})).json()
    await seed.alert(first_seen=NOW + 10)
    params = {"tenant": tenant, "limit": 3, "cursor": first["next"]}
    second = (await client.get("/v1/alerts", params=params)).json()
    third = (await client.get("/v1/alerts", params=params | {"cursor": second["next"]})).json()
    found = [item["id"] for page in (first, second, third) for item in page["items"]]
    assert found == [row.id for row in reversed(before)]
    assert third["next"] is None


async def test_a_page_that_is_just_full_is_the_last(client, seed, tenant) -> None:
    await seed.alert()
    page = (await client.get("/v1/alerts", params={"tenant": tenant, "limit": 1})).json()
    assert page["next"] is None


async def test_one_alert_shows_its_evidence_page_by_page(client, seed) -> None:
    row = await seed.alert(events=5)
    found: list[dict[str, Any]] = []
    params: dict[str, Any] = {"limit": 2}
    while True:
        detail = (await client.get(f"/v1/alerts/{row.id}", params=params)).json()
        AlertDetail.model_validate(detail)
        found += detail["evidence"]["items"]
        if detail["evidence"]["next"] is None:
            break
        params["cursor"] = detail["evidence"]["next"]
    assert [item["event_uid"] for item in found] == [str(UUID(bytes=e.uid)) for e in row.events]
    assert found[0]["ocsf"] == {"n": 1}
    assert found[0]["raw"] == '{"r": 1}'


async def test_evidence_that_is_not_utf8_comes_as_base64(client, seed) -> None:
    row = await seed.alert()
    odd = row.events[0]._replace(uid=uuid4().bytes, raw=b"\xff")
    await seed.write(row._replace(count=2, events=[odd]))
    detail = (await client.get(f"/v1/alerts/{row.id}")).json()
    AlertDetail.model_validate(detail)
    assert "/w==" in [item.get("raw_base64") for item in detail["evidence"]["items"]]


async def test_an_unknown_alert_is_not_found(client) -> None:
    response = await client.get(f"/v1/alerts/{uuid4()}")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert "GET /v1/alerts lists them" in response.json()["detail"]


async def test_the_token_of_a_tenant_sees_that_tenant_only(connect, seed, tenant) -> None:
    mine = await seed.alert()
    seed.tenant = f"{tenant}-other"
    theirs = await seed.alert()
    await seed.event()
    await seed.letter()
    async with connect(TOKEN) as client:
        assert [item["id"] for item in (await client.get("/v1/alerts")).json()["items"]] == [
            mine.id
        ]
        assert await listed(client, seed.tenant) == []
        assert (await client.get(f"/v1/alerts/{theirs.id}")).status_code == 404
        assert (await client.get(f"/v1/alerts/{mine.id}")).status_code == 200
        for path in ("/v1/events", "/v1/dead-letters"):
            assert (await client.get(path)).json()["items"] == []
        counts = (await client.get("/v1/stats", params={"bucket": "day"})).json()["items"]
        assert sum(item["count"] for item in counts) == 1
        everything = await asyncio.gather(*(client.get("/v1/alerts") for _ in range(30)))
        assert all(len(answer.json()["items"]) == 1 for answer in everything)  # pooled, not leaked


async def test_a_cursor_of_another_list_is_refused(client, seed, tenant) -> None:
    await seed.event()
    await seed.event()
    page = (await client.get("/v1/events", params={"tenant": tenant, "limit": 1})).json()
    response = await client.get("/v1/dead-letters", params={"cursor": page["next"]})
    assert response.status_code == 422
    assert "cursor: expected `next`" in response.json()["detail"]


@pytest.mark.parametrize(
    ("params", "parameter"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"severity": "awful"}, "severity"),
        ({"since": "yesterday"}, "since"),
        ({"since": "2026-01-31T12:00:00"}, "since"),
        ({"until": "0001-01-01T00:00:00+14:00"}, "until"),
        ({"technique": "x"}, "technique"),
        ({"rule": "x" * 513}, "rule"),
        ({"rule": "\x00"}, "rule"),
        ({"status": "NEW"}, "status"),
    ],
)
async def test_a_wrong_parameter_is_named(client, params, parameter) -> None:
    response = await client.get("/v1/alerts", params=params)
    assert response.status_code == 422
    problem = response.json()
    assert problem["status"] == 422
    assert problem["errors"][0]["parameter"].startswith(parameter)
    assert parameter in problem["detail"]
