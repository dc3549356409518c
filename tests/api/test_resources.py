"""Incidents, findings, entities, rules, models, sources and saved searches, as people see them."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from api.routes.entities import Entities, Happenings
from api.routes.findings import Exceptions, FindingDetail, Findings
from api.routes.incidents import IncidentDetail, Incidents
from api.routes.rules import Models, RuleDetail, Rules, Sources
from api.routes.searches import Searches
from sentinel.registry import discover

NOW = datetime.now(UTC).replace(microsecond=0)
TOKEN = "a-token-of-one-tenant,-long-enough"


async def everything(client: Any, path: str, model: Any, **params: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        answer = await client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        model.model_validate(page)
        found += page["items"]
        if page.get("next") is None:
            return found
        params["cursor"] = page["next"]


async def incident(owner: Any, tenant: str, **changes: Any) -> str:
    row = {
        "tenant": tenant, "id": uuid4(), "title": "Keys", "severity_id": 4, "score": 0.9,
        "tactics": ["persistence"], "techniques": ["T1098"], "entities": ["ada"],
        "sources": ["cloudtrail"], "alerts": 1, "first_seen": NOW, "last_seen": NOW,
        "lead_seen": NOW,
    } | changes  # fmt: skip
    places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    await owner.execute(
        f"INSERT INTO incidents ({', '.join(row)}, revision) "
        f"VALUES ({places}, nextval('incidents_seq'))",
        *row.values(),
    )
    return str(row["id"])


async def test_incidents_are_listed_shown_with_their_alerts_and_changed(
    client, seed, tenant, owner
) -> None:
    ids = [await incident(owner, tenant, last_seen=NOW - timedelta(hours=n)) for n in range(3)]
    await incident(owner, tenant, merged_into=uuid4(), alerts=0)
    found = await everything(client, "/v1/incidents", Incidents, tenant=tenant, limit=2)
    assert [each["id"] for each in found] == ids
    for filters, number in (({"status": "new"}, 3), ({"entity": "eve"}, 0), ({"merged": True}, 4)):
        found = await everything(client, "/v1/incidents", Incidents, tenant=tenant, **filters)
        assert len(found) == number, filters
    row = await seed.alert()
    await owner.execute(
        "UPDATE incident_alerts SET incident_id = $3 WHERE tenant = $1 AND alert_id = $2",
        *(tenant, row.id, ids[0]),
    )
    path = f"/v1/incidents/{ids[0]}"
    answer = await client.get(path)
    IncidentDetail.model_validate(answer.json())
    assert [each["id"] for each in answer.json()["members"]] == [row.id]
    match = {"If-Match": answer.headers["etag"]}
    what = {"status": "in_progress", "assignee": "user:ada"}
    changed = await client.patch(path, json=what, headers=match)
    assert (changed.status_code, changed.json()["status"]) == (200, "in_progress"), changed.text
    assert (await client.patch(path, json=what, headers=match)).status_code == 412
    assert (await client.get(f"/v1/incidents/{uuid4()}")).status_code == 404


async def finding(owner: Any, tenant: str, **changes: Any) -> str:
    row = {
        "tenant": tenant, "tool": "trivy", "uid": uuid4(), "target": "shop", "source": "trivy",
        "class_uid": 2002, "rule": "CVE-2026-0001", "title": "A flaw", "severity_id": 4,
        "suppressed": False, "state": "new", "scan": uuid4(), "first_seen": NOW, "last_seen": NOW,
        "judged": NOW, "ocsf": json.dumps({"class_uid": 2002, "finding_info": {}, "metadata": {}}),
    } | changes  # fmt: skip
    places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    await owner.execute(f"INSERT INTO findings ({', '.join(row)}) VALUES ({places})", *row.values())
    return str(row["uid"])


async def test_findings_are_listed_worst_first_and_accepted_until_a_day(
    client, connect, tenant, owner
) -> None:
    low = await finding(owner, tenant, severity_id=2, rule="weak")
    worst = await finding(owner, tenant, severity_id=5)
    other = await finding(owner, tenant, target="blog", state="reopened")
    await finding(owner, tenant, state="resolved")
    path, params = "/v1/findings", {"tenant": tenant}
    found = await everything(client, path, Findings, **params, limit=1)
    assert [each["uid"] for each in found] == [worst, other, low]
    detail = (await client.get(f"{path}/{worst}")).json()
    FindingDetail.model_validate(detail)
    assert detail["ocsf"]["class_uid"] == 2002
    until = (NOW + timedelta(days=30)).isoformat()
    given = {"rule": "CVE-2026-0001", "target": "shop", "reason": "Not reachable", "expires": until}
    made = await client.post(f"{path}/exceptions", params=params, json=given)
    assert made.status_code == 201, made.text
    found = await everything(client, path, Findings, **params)
    assert [each["uid"] for each in found] == [other, low]
    found = await everything(client, path, Findings, **params, accepted=True)
    assert [each["exception"] for each in found] == [made.json()["id"], None, None]
    listed = await everything(client, f"{path}/exceptions", Exceptions)
    assert made.json()["id"] in [each["id"] for each in listed]
    assert (await client.delete(f"{path}/exceptions/{made.json()['id']}")).status_code == 204
    assert len(await everything(client, path, Findings, **params)) == 3
    for wrong in (given | {"expires": NOW.isoformat()}, given | {"rule": "", "target": ""}):
        assert (await client.post(f"{path}/exceptions", json=wrong)).status_code == 422
    async with connect(TOKEN) as narrow:
        answer = await narrow.post(f"{path}/exceptions", params={"tenant": "other"}, json=given)
        assert answer.status_code == 403


async def test_findings_are_filtered_by_the_part_of_the_target_that_was_scanned(
    client, tenant, owner
) -> None:
    shop = await finding(owner, tenant, scope="namespace/shop")
    await finding(owner, tenant, scope="namespace/pay")
    whole = await finding(owner, tenant)
    params = {"tenant": tenant}

    found = await everything(client, "/v1/findings", Findings, **params)
    assert {each["scope"] for each in found} == {"namespace/shop", "namespace/pay", ""}
    for scope, expected in (("namespace/shop", [shop]), ("", [whole]), ("namespace", [])):
        found = await everything(client, "/v1/findings", Findings, **params, scope=scope, limit=1)
        assert [each["uid"] for each in found] == expected
    assert (await client.get(f"/v1/findings/{shop}")).json()["scope"] == "namespace/shop"


async def test_risk_adds_up_what_is_open_and_forgets_what_is_closed(client, seed, tenant) -> None:
    now = round(NOW.timestamp() * 1000)
    week = now - 7 * 86_400_000
    await seed.alert(entity="eve", score=0.5, first_seen=now, last_seen=now)
    await seed.alert(entity="eve", score=0.5, first_seen=now, last_seen=now, techniques=["T1"])
    await seed.alert(entity="ada", score=0.8, first_seen=week, last_seen=week)
    closed = await seed.alert(entity="kim", score=1.0)
    await client.patch(f"/v1/alerts/{closed.id}", json={"status": "resolved"})
    found = await everything(client, "/v1/entities", Entities, tenant=tenant)
    assert [(each["entity"], each["alerts"]) for each in found] == [("eve", 2), ("ada", 1)]
    assert found[0]["risk"] == pytest.approx(75, abs=0.5)
    assert found[1]["risk"] == pytest.approx(40, abs=0.5)
    assert found[0]["techniques"] == ["T1", "T1078.004"]
    params = {"entity": "eve", "tenant": tenant, "limit": 1}
    happened = await everything(client, "/v1/entities/timeline", Happenings, **params)
    assert sorted(each["kind"] for each in happened) == ["alert", "alert", "event", "event"]


async def test_rules_models_and_sources_say_what_they_found(client, seed, tenant) -> None:
    rules = await everything(client, "/v1/rules", Rules, limit=1000)
    assert len(rules) > 200
    await seed.alert(rule_id=rules[0]["id"])
    await seed.alert(rule_id="model.half_space_trees")
    await seed.event()
    params = {"tenant": tenant, "limit": 100}
    found = await everything(client, "/v1/rules", Rules, **params)
    assert [each["id"] for each in found] == [each["id"] for each in rules]
    fired = [each for each in found if each["alerts"]]
    assert [(each["id"], each["alerts"]) for each in fired] == [(rules[0]["id"], 1)]
    one = await client.get(f"/v1/rules/{rules[0]['id']}", params={"tenant": tenant})
    RuleDetail.model_validate(one.json())
    assert one.json()["alerts"] == 1
    assert rules[0]["title"] in one.json()["written"]
    missing = await client.get("/v1/rules/none")
    assert (missing.status_code, missing.json()["instance"]) == (404, "/v1/rules/none")
    only = await everything(client, "/v1/rules", Rules, product="aws")
    assert {each["logsource"]["product"] for each in only} == {"aws"}
    models = await everything(client, "/v1/models", Models, tenant=tenant)
    assert {each["id"]: each["alerts"] for each in models}["model.half_space_trees"] == 1
    sources = await everything(client, "/v1/sources", Sources, tenant=tenant)
    named = {each["source"]: each for each in sources}
    assert (named["cloudtrail"]["events"], named["auditd"]["events"]) == (1, 0)
    assert "s3" in named["cloudtrail"]["readers"]


async def test_nobody_waits_for_the_libraries_of_models(client, monkeypatch) -> None:
    began, answered = threading.Event(), threading.Event()

    def slow(*args: Any) -> Any:
        began.set()
        assert answered.wait(60)
        return discover(*args)

    monkeypatch.setattr("api.routes.rules.discover", slow)
    models = asyncio.create_task(client.get("/v1/models"))
    assert await asyncio.to_thread(began.wait, 60)
    assert (await client.get("/health")).status_code == 200
    answered.set()
    assert (await models).status_code == 200


async def test_a_search_is_kept_found_again_and_removed(client, connect, tenant) -> None:
    given = {"name": f"Keys {tenant}", "query": "title:key severity>=high", "shared": True}
    kept = await client.put("/v1/searches", json=given)
    assert kept.status_code == 200, kept.text
    again = await client.put("/v1/searches", json=given | {"query": "title:key"})
    assert again.json()["id"] == kept.json()["id"]
    found = await everything(client, "/v1/searches", Searches)
    assert [each["query"] for each in found if each["name"] == given["name"]] == ["title:key"]
    wrong = await client.put("/v1/searches", json=given | {"query": "sevrity:high"})
    assert (wrong.status_code, "column 1" in wrong.json()["detail"]) == (422, True)
    assert (await client.delete(f"/v1/searches/{kept.json()['id']}")).status_code == 204
    kept = await client.put("/v1/searches", json=given)
    async with connect(TOKEN) as narrow:
        assert await everything(narrow, "/v1/searches", Searches) == []
        assert (await narrow.delete(f"/v1/searches/{kept.json()['id']}")).status_code == 404
