"""Whether rules can fire here, by the events that really came."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from uuid import uuid4

import pytest

from sentinel.cli.app import run
from sentinel.settings import Settings
from streams.sinks.base import EventRow, Rows
from streams.sinks.postgres import PostgresSink

RULE = """\
title: {name}
logsource: {{product: {product}, service: {service}}}
detection: {{s: {{{field}: x}}, condition: s}}
level: low
"""
RULES = {
    "fires": ("aws", "cloudtrail", "eventName"),
    "lacks": ("aws", "cloudtrail", "vpcEndpointId"),
    "silent": ("kubernetes", "audit", "verb"),
}


def test_rules_are_judged_by_the_events_of_a_tenant(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    tenant, now = f"tenant-{uuid4().hex}", time.time_ns() // 1_000_000
    raw = json.dumps({
        "eventVersion": "1.08", "eventTime": "2026-01-05T08:00:00Z", "eventName": "ListBuckets",
        "eventSource": "s3.amazonaws.com", "eventID": "e1", "awsRegion": "eu-west-1",
        "sourceIPAddress": "192.0.2.1", "userIdentity": {"type": "IAMUser", "userName": "ada"},
    }).encode()  # fmt: skip

    async def store() -> None:
        sink = PostgresSink(Settings(postgres=postgres))
        await sink.open()
        texts = ("ada", "ListBuckets", "s3.amazonaws.com", "192.0.2.1")
        row = EventRow(tenant, uuid4().bytes, now, now, "cloudtrail", 6003, 1, 1, 1, *texts, raw)
        await sink.write(Rows([row]))
        await sink.close()

    asyncio.run(store())
    for name, (product, service, field) in RULES.items():
        text = RULE.format(name=name, product=product, service=service, field=field)
        (tmp_path / f"{name}.yml").write_text(text)
    monkeypatch.setenv("SENTINEL_POSTGRES", postgres)

    def reasons(*more: str) -> dict[str, str]:
        assert run(["rules", "check", str(tmp_path), "--seen", "7d", *more, "--json"]) == 0
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return {Path(row["path"]).stem: row["reason"] for row in rows}

    found = reasons("--tenant", tenant)
    assert found["lacks"] == f"no event of cloudtrail in 7d of {tenant} has vpcEndpointId"
    assert f"in 7d of {tenant}" in found["silent"]
    assert found["silent"].startswith("no event of ")
    assert "fires" not in found
    assert reasons("--tenant", "nobody").keys() == RULES.keys()
