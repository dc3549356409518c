"""Counts for charts add up; what a client has already is not sent again; answers are packed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from api.routes.stats import Heat, Matrix, Top

MONDAY = datetime(2026, 3, 2, 10, tzinfo=UTC)
SPAN = {"since": MONDAY.isoformat(), "until": (MONDAY + timedelta(days=7)).isoformat()}


def ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)


async def get(client: Any, path: str, **params: Any) -> Any:
    answer = await client.get(path, params=SPAN | params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_most_frequent_come_first_with_the_total(client, seed, tenant) -> None:
    for number in range(6):
        when = ms(MONDAY + timedelta(hours=number))
        who = ("ada", "eve", "ada", "ada", "eve", "kim")[number]
        await seed.alert(entity=who, first_seen=when, last_seen=when, severity_id=1 + number % 2)
        await seed.event(entity=who, time=when, src_ip=f"192.0.2.{number % 2}")
    found = await get(client, "/v1/stats/top", tenant=tenant, limit=2)
    Top.model_validate(found)
    assert found["items"] == [{"key": "ada", "count": 3}, {"key": "eve", "count": 2}]
    assert found["total"] == 6
    only = await get(client, "/v1/stats/top", tenant=tenant, query="severity:low")
    assert only["total"] == 3
    events = await get(client, "/v1/stats/top", tenant=tenant, of="events", by="src_ip")
    assert [item["count"] for item in events["items"]] == [3, 3]


async def test_a_week_by_weekday_and_hour(client, seed, tenant) -> None:
    for hours in (0, 0, 3, 24, 6 * 24 + 13):
        when = ms(MONDAY + timedelta(hours=hours))
        await seed.alert(first_seen=when, last_seen=when)
        await seed.event(time=when)
    for of in ("alerts", "events"):
        found = await get(client, "/v1/stats/heatmap", tenant=tenant, of=of)
        Heat.model_validate(found)
        cells = {(cell["weekday"], cell["hour"]): cell["count"] for cell in found["items"]}
        assert cells == {(1, 10): 2, (1, 13): 1, (2, 10): 1, (7, 23): 1}


async def test_alerts_by_technique_with_the_worst(client, seed, tenant) -> None:
    when = ms(MONDAY)
    for severity, techniques in ((2, ["T1078"]), (4, ["T1078", "T1059.004"]), (3, [])):
        await seed.alert(
            first_seen=when, last_seen=when, severity_id=severity, techniques=techniques
        )
    found = await get(client, "/v1/stats/mitre", tenant=tenant)
    Matrix.model_validate(found)
    assert found["items"] == [
        {"technique": "T1078", "count": 2, "worst": "high"},
        {"technique": "T1059.004", "count": 1, "worst": "high"},
    ]
    assert (await client.get("/v1/stats/mitre", params={"of": "events"})).status_code == 422


async def test_what_a_client_has_is_not_sent_again(client, seed, tenant) -> None:
    row = await seed.alert()
    for path, params in (("/v1/alerts", {"tenant": tenant}), (f"/v1/alerts/{row.id}", {})):
        first = await client.get(path, params=params)
        headers = {"If-None-Match": first.headers["etag"]}
        again = await client.get(path, params=params, headers=headers)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["x-content-type-options"] == "nosniff"
        await seed.write(row._replace(count=row.count + 1, events=[]))
        row = row._replace(count=row.count + 1)
        later = await client.get(path, params=params, headers=headers)
        assert later.status_code == 200
        assert later.headers["etag"] != first.headers["etag"]


async def test_large_answers_are_packed_for_who_takes_it(client, seed, tenant) -> None:
    for _ in range(5):
        await seed.alert()
    plain = {"Accept-Encoding": "identity"}
    packed = await client.get("/v1/alerts", params={"tenant": tenant})
    assert packed.headers["content-encoding"] == "gzip"
    other = await client.get("/v1/alerts", params={"tenant": tenant}, headers=plain)
    assert "content-encoding" not in other.headers
    assert packed.json() == other.json()


async def test_only_the_fields_that_are_asked_for_are_sent(client, seed, tenant) -> None:
    row = await seed.alert()
    await seed.event()
    params = {"tenant": tenant, "fields": "id, severity"}
    (item,) = (await client.get("/v1/alerts", params=params)).json()["items"]
    assert item == {"id": row.id, "severity": "high"}
    params["fields"] = "entity,time"
    (item,) = (await client.get("/v1/events", params=params)).json()["items"]
    assert list(item) == ["time", "entity"]
    answer = await client.get("/v1/alerts", params={"fields": "id,sevrity"})
    assert (answer.status_code, "found sevrity" in answer.json()["detail"]) == (422, True)


async def test_a_query_that_is_wrong_names_the_column(client) -> None:
    for path in ("/v1/alerts", "/v1/stats", "/v1/alerts/stream"):
        answer = await client.get(path, params={"query": "user:ada AND sevrity:high"})
        assert answer.status_code == 422
        problem = answer.json()
        assert problem["detail"].startswith("query, column 14: expected a field")
        assert problem["errors"][0]["column"] == 14
