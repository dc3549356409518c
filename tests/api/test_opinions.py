"""An alert shows what services outside say of it: over the API, and in the command."""

from __future__ import annotations

from typing import Any

import pytest

from sentinel import postgres as pg
from sentinel.cli.alert import _opinions

ASK = """
INSERT INTO opinions (tenant, alert_id, service, kind, value, state, said, malicious, link, error)
VALUES ($1, $2, $3, 'ip', '9.9.9.9', $4, $5, $6, $7, $8)
"""


@pytest.fixture
async def answers(postgres: str) -> Any:
    """Yield a pool in the role of workers, who write answers down."""
    pool = await pg.open_pool(postgres, pg.WORKER, tenant=pg.ALL_TENANTS, size=1)
    yield pool
    await pool.close()


async def test_an_alert_shows_what_others_say_the_worst_first(client, seed, tenant, answers):
    row = await seed.alert()
    for service, *rest in (
        ("abuseipdb", "pending", "", None, "", "AbuseIPDB answered 429"),
        ("virustotal", "answered", "12 of 90 engines", True, "https://vt.example/9", ""),
        ("shodan", "failed", "", None, "", "no whole answer within 15 s"),
    ):
        await answers.execute(ASK, tenant, row.id, service, *rest)
    detail = (await client.get(f"/v1/alerts/{row.id}")).json()
    assert [each["service"] for each in detail["opinions"]] == ["virustotal", "abuseipdb", "shodan"]
    assert detail["opinions"][0] | {"asked_at": None} == {
        "service": "virustotal",
        "kind": "ip",
        "value": "9.9.9.9",
        "state": "answered",
        "said": "12 of 90 engines",
        "malicious": True,
        "link": "https://vt.example/9",
        "error": "",
        "asked_at": None,
    }
    assert list(_opinions(detail["opinions"])) == [
        "",
        "What others say",
        "! virustotal: 12 of 90 engines (9.9.9.9) https://vt.example/9",
        "  abuseipdb: no answer yet: AbuseIPDB answered 429 (9.9.9.9)",
        "  shodan: no answer: no whole answer within 15 s (9.9.9.9)",
    ]


async def test_an_alert_that_nobody_was_asked_about_says_nothing(client, seed):
    row = await seed.alert()
    assert (await client.get(f"/v1/alerts/{row.id}")).json()["opinions"] == []
    assert list(_opinions([])) == []
