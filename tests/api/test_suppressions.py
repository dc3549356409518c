"""Suppressions and tunings over HTTP, what dispositions change, and the audit of all of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from api.routes.suppressions import Proposals, Row, Rows

END = (datetime.now(UTC) + timedelta(days=3)).isoformat()
TOKEN = "a-token-of-one-tenant,-long-enough"


async def added(client: Any, **what: Any) -> dict[str, Any]:
    answer = await client.post("/v1/suppressions", json={"reason": "known"} | what)
    assert answer.status_code == 201, answer.text
    Row.model_validate(answer.json())
    found: dict[str, Any] = answer.json()
    return found


async def listed(client: Any, **params: Any) -> list[dict[str, Any]]:
    answer = await client.get("/v1/suppressions", params=params)
    assert answer.status_code == 200, answer.text
    Rows.model_validate(answer.json())
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def test_what_is_added_is_listed_ended_and_audited(client, tenant) -> None:
    scope = {"entities": ["192.0.2.0/24"]}
    quiet = await added(client, tenant=tenant, scope=scope, expires=END)
    tuned = await added(
        client, tenant=tenant, kind="tuning", scope={"rules": ["r1"]}, severity=2, staged=True
    )
    assert (quiet["state"], tuned["expires"], tuned["severity"]) == ("pending", None, 2)
    assert await listed(client, tenant=tenant) == [tuned, quiet]
    assert await listed(client, tenant=tenant, kind="tuning") == [tuned]
    answer = await client.delete(f"/v1/suppressions/{tuned['id']}")
    assert answer.json()["removed"]
    assert (await client.delete(f"/v1/suppressions/{tuned['id']}")).status_code == 404
    lines = (await client.get("/v1/audit", params={"tenant": tenant})).json()["items"]
    assert {(line["action"], line["target"]) for line in lines} >= {
        ("suppression.add", quiet["id"]),
        ("tuning.add", tuned["id"]),
        ("tuning.remove", tuned["id"]),
    }


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"scope": {"rules": ["r1"]}}, "expected the end of a suppression"),
        ({"kind": "tuning", "scope": {"rules": ["r1"]}}, "at least one of disabled"),
        ({"kind": "tuning", "scope": {"rules": ["r1"]}, "threshold": 0.7}, "rules have none"),
        ({"kind": "budget"}, "per hour or per day"),
        ({"kind": "maintenance", "expires": END, "weekly": "never"}, "hours of the week"),
        ({"scope": {"kinds": ["cat"]}, "expires": END}, "kinds among"),
    ],
)
async def test_what_makes_no_sense_is_refused(client, what, message) -> None:
    answer = await client.post("/v1/suppressions", json={"reason": "known"} | what)
    assert answer.status_code == 422
    assert message in answer.text


async def test_a_tenant_sets_its_own_rules_only_and_its_role_must_allow_it(
    connect, client, tenant, home
) -> None:
    theirs = await added(client, tenant="other", kind="budget", per_day=5)
    (home / "tenant-tokens").write_text(f"{tenant} {TOKEN}\n")
    async with connect(TOKEN) as tenants:
        assert await listed(tenants) == []
        assert (await tenants.delete(f"/v1/suppressions/{theirs['id']}")).status_code in {403, 404}
        body = {"kind": "budget", "per_day": 5, "reason": "x"}
        assert (await tenants.post("/v1/suppressions", json=body)).status_code == 403


async def judge(client: Any, seed: Any, disposition: str, count: int = 1, **alert: Any) -> None:
    """Make some alerts and judge them, all at once: each call waits for a broker that is away."""
    rows = [await seed.alert(**alert) for _ in range(count)]
    change = {"disposition": disposition, "reason": "looked at it"}
    body = {"ids": [row.id for row in rows], "change": change}
    answer = await client.post("/v1/alerts/bulk", json=body)
    assert answer.status_code == 200, answer.text


async def test_the_threshold_of_a_model_follows_what_people_say(client, seed, tenant) -> None:
    model = {"kind": "model", "rule_id": "model.new_value", "score": 0.75}
    await judge(client, seed, "false_positive", 4, **model)
    assert await listed(client, tenant=tenant) == [], "too few to tell"
    await judge(client, seed, "benign", **model)
    (learnt,) = await listed(client, tenant=tenant)
    assert learnt["learned"]
    assert learnt["scope"]["rules"] == ["model.new_value"]
    assert learnt["threshold"] == pytest.approx(0.805)
    assert "5 of 5" in learnt["reason"]
    row = await seed.alert(**model | {"score": 0.7})
    change = {"disposition": "true_positive", "reason": "an attack"}
    bulk = {"ids": [row.id], "change": change}
    assert (await client.post("/v1/alerts/bulk", json=bulk)).status_code == 200
    (lower,) = [each for each in await listed(client, tenant=tenant) if not each["removed"]]
    assert lower["threshold"] == pytest.approx(0.695, abs=0.006), "what was right is found again"
    lines = (await client.get("/v1/audit", params={"tenant": tenant})).json()["items"]
    assert sum(line["action"] == "model.learn" for line in lines) == 2
    await judge(client, seed, "true_positive", 5, **model)
    assert all(each["removed"] for each in await listed(client, tenant=tenant, ended=True))


async def test_what_was_only_ever_wrong_is_proposed(client, seed, tenant) -> None:
    rule = f"rule-{uuid4().hex}"
    await judge(client, seed, "false_positive", 3, rule_id=rule, entity="ada")
    await judge(client, seed, "true_positive", rule_id=rule, entity="eve")
    answer = await client.get("/v1/suppressions/proposals", params={"tenant": tenant})
    Proposals.model_validate(answer.json())
    (found,) = answer.json()["items"]
    assert (found["action"], found["rule_id"], found["entity"]) == ("suppress", rule, "ada")
    assert (found["tenant"], found["wrong"]) == (tenant, 3)
    assert await listed(client, tenant=tenant) == [], "people decide about rules"
