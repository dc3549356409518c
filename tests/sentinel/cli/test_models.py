"""`models`: train, list, promote, roll back, score, and a seed that equals streaming."""

from __future__ import annotations

import asyncio
import json
import time
from functools import partial
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import asyncpg
import numpy as np
import pytest

from api.identity.audit import verify
from detectors.detect import Detector
from detectors.scoring.choose import online_models
from sentinel.cli import _stored
from sentinel.cli.app import run
from sentinel.settings import Settings
from streams.detect import DetectStage
from streams.sinks.base import AlertEventRow, AlertRow, EventRow, Rows
from streams.sinks.postgres import PostgresSink

SOURCE = ("--source", "cloudtrail")
WHY = ("--reason", "it flags less of what is usual")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SENTINEL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def database(home, postgres, monkeypatch) -> str:
    """Return the DSN of the database whose audit log commands write to."""
    monkeypatch.setenv("SENTINEL_POSTGRES", postgres)
    return postgres


async def audited(dsn: str, tenant: str) -> list[asyncpg.Record]:
    """Return the audit log of a tenant, oldest first."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("SELECT set_config('sentinel.tenant', '*', false)")
        return await connection.fetch(
            "SELECT * FROM audit_log WHERE tenant = $1 ORDER BY seq", tenant
        )
    finally:
        await connection.close()


async def digests(dsn: str, tenant: str) -> dict[int, str]:
    """Return the SHA-256 of each version of a tenant."""
    query = "SELECT version, model FROM batch_models WHERE tenant = $1"
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("SELECT set_config('sentinel.tenant', $1, false)", tenant)
        rows = await connection.fetch(query, tenant)
    finally:
        await connection.close()
    return {row["version"]: sha256(row["model"]).hexdigest() for row in rows}


@pytest.fixture
def mine() -> tuple[str, ...]:
    """Return the options of a source of a tenant that no other test has."""
    return (*SOURCE, "--tenant", f"tenant-{uuid4().hex}")


@pytest.fixture
def logs(tmp_path) -> str:
    events = [
        {
            "eventVersion": "1.09",
            "eventID": f"00000000-0000-4000-8000-{n:012}",
            "eventTime": f"2026-03-02T{9 + n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}Z",
            "eventSource": "s3.amazonaws.com",
            "eventName": f"Op{n % 7}",
            "awsRegion": "us-east-1",
            "sourceIPAddress": f"203.0.113.{n % 5}",
            "userAgent": "aws-cli/2",
            "userIdentity": {
                "type": "IAMUser",
                "arn": f"arn:aws:iam::123456789012:user/u{n % 9}",
            },
            "recipientAccountId": "123456789012",
        }
        for n in range(400)
    ]
    path = tmp_path / "events.json"
    path.write_text(json.dumps(events))
    return str(path)


def rows(capsys, *args) -> list[dict]:
    assert run(["models", *map(str, args), "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_from_training_to_going_back(database, logs, mine, capsys) -> None:
    (first,) = rows(capsys, "train", logs, *mine)
    assert first["events"] == 400
    assert first["parameters"]["contamination"] == 0.1
    assert run(["models", "promote", "1", *mine, *WHY]) == 0
    (second,) = rows(capsys, "train", logs, *mine, "--seed", "7", "--contamination", "0.2")
    assert second["compared_with_live"]["rank_correlation"] > 0
    assert run(["models", "promote", "2", *mine, *WHY]) == 0
    assert [row["live"] for row in rows(capsys, "list", *mine)] == [False, True]
    assert run(["models", "rollback", *mine, *WHY]) == 0
    assert [row["live"] for row in rows(capsys, "list", *mine)] == [True, False]
    odd = rows(capsys, "score", logs, *mine, "--limit", "3")
    assert len(odd) == 3
    assert odd[0]["anomaly"] >= odd[1]["anomaly"] >= odd[2]["anomaly"]
    assert run(["models", "promote", "9", *mine, *WHY]) == 1
    assert "expected a version of isolation_forest among 1, 2, found 9" in capsys.readouterr().err


def test_the_audit_log_has_every_change_of_what_scores_live(database, logs, capsys) -> None:
    tenant = f"tenant-{uuid4().hex}"
    mine = (*SOURCE, "--tenant", tenant)
    rows(capsys, "train", logs, *mine)
    rows(capsys, "train", logs, *mine, "--seed", "7")
    for change in (("promote", "1"), ("promote", "2"), ("promote", "2"), ("rollback",)):
        assert run(["models", *change, *mine, "--reason", f" {' '.join(change)} "]) == 0
    for wrong in (("promote", "9", *WHY), ("rollback", *WHY), ("promote", "2", "--reason", " ")):
        assert run(["models", *wrong, *mine]) == 1
    assert "expected a reason of 1 to 2000 characters" in capsys.readouterr().err
    lines = asyncio.run(audited(database, tenant))
    assert [line["action"] for line in lines] == [
        "model.promote",
        "model.promote",
        "model.rollback",
    ]
    assert {line["target"] for line in lines} == {"model.batch.isolation_forest"}
    assert all(line["actor"].startswith("cli:") for line in lines)
    files = asyncio.run(digests(database, tenant))
    assert [json.loads(line["detail"]) for line in lines] == [
        {"source": "cloudtrail", "version": version, "before": before, "reason": reason,
         "sha256": files[version]}
        for version, before, reason in
        [(1, None, "promote 1"), (2, 1, "promote 2"), (1, 2, "rollback")]
    ]  # fmt: skip
    heads, broken = verify(lines, {})
    assert (heads[tenant].seq, broken) == (3, [])


def test_without_the_database_it_is_said(home, logs, monkeypatch, capsys) -> None:
    monkeypatch.setenv("SENTINEL_POSTGRES", "postgresql://ada@127.0.0.1:1/sentinel")
    for command in (("train", logs), ("promote", "1", *WHY), ("list",)):
        assert run(["models", *command, *SOURCE]) == 1
        assert "expected PostgreSQL to answer" in capsys.readouterr().err


def test_a_seed_equals_having_streamed(home, logs, capsys) -> None:
    assert run(["models", "seed", logs, *SOURCE, "--partitions", "2"]) == 0
    assert "400 events learnt in 2 of 2 partitions" in capsys.readouterr().err
    streamed = {n: Detector(online_models(), 0.6, together=True) for n in range(2)}
    for offset, (place, batch) in enumerate(
        _stored.batches("cloudtrail", "default", [logs], partitions=2)
    ):
        for row in range(0, len(batch), 50):  # in other batches than the seed's
            part = np.arange(row, min(row + 50, len(batch)))
            first, last = int(batch.origin[part[0]]), int(batch.origin[part[-1]])
            streamed[place].process(batch.split(part, [len(part)], first, last)[0], offset)
    stage = DetectStage(Settings(home=home), 2)
    for place in range(2):
        found = json_state(stage.task("events", place).snapshot())
        assert found == json_state(streamed[place].snapshot())


def json_state(snapshot: bytes) -> bytes:
    """Return the models' part of a snapshot: all that follows the name of the tenant."""
    return snapshot[snapshot.index(b"default\x1fcloudtrail") :].partition(b"evicted")[0]


def test_a_challenger_is_compared_on_events_later_than_both_learnt_from(
    database, logs, mine, tmp_path, capsys
) -> None:
    events = json.loads(Path(logs).read_bytes())
    (tmp_path / "early.json").write_text(json.dumps(events[:300]))
    early = str(tmp_path / "early.json")
    rows(capsys, "train", early, *mine)
    assert run(["models", "promote", "1", *mine, *WHY]) == 0
    assert "scores with it in some seconds" in capsys.readouterr().err
    rows(capsys, "train", early, *mine, "--seed", "7")
    (found,) = rows(capsys, "compare", "2", logs, *mine)
    assert found["held_back"] == 100
    assert -1 <= found["rank_correlation"] <= 1
    assert {"flagged_share", "flagged_share_live", "top_in_common"} <= found.keys()
    assert run(["models", "compare", "2", early, *mine]) == 1
    assert "expected events later than 2026-03-02 09:04" in capsys.readouterr().err


async def test_stored_events_seed_and_train_and_attacks_are_not_learnt_from(
    home, logs, postgres, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("SENTINEL_POSTGRES", postgres)
    tenant = f"tenant-{uuid4().hex}"
    mine = (*SOURCE, "--tenant", tenant)
    sink = PostgresSink(Settings(postgres=postgres))
    await sink.open()
    now = time.time_ns() // 1_000_000
    parts = _stored.batches("cloudtrail", tenant, [logs])
    stored = [
        EventRow(tenant, batch.uid_of(row), now + number * 100 + row, now + number * 100 + row,
                 "cloudtrail", 6003, 1, 1, 1, batch.entity.at(row), batch.operation.at(row), "",
                 "", batch.raw_of(row), None)
        for number, (_, batch) in enumerate(parts) for row in range(len(batch))
    ]  # fmt: skip
    evidence = [AlertEventRow(row.uid, now, now, 0.7, "cloudtrail", "{}", b"{}")
                for row in stored[:5]]  # fmt: skip
    alert = AlertRow(tenant=tenant, id=str(uuid4()), kind="rule", rule_id="r", title="R",
                     source="cloudtrail", severity_id=4, score=0.7, techniques=[], entity="u",
                     explanation="{}", count=5, first_seen=now, last_seen=now,
                     events=evidence)  # fmt: skip
    await sink.write(Rows(events=stored, alerts=[alert]))
    await sink.close()
    called = partial(asyncio.to_thread, run)
    assert await called(["models", "seed", *mine]) == 0
    assert "400 events learnt" in capsys.readouterr().err
    (seeded,) = (home / "seeds").glob("*.bin")
    stream = Detector(online_models(), 0.6, together=True)
    for offset, (_, batch) in enumerate(parts):
        stream.process(batch, offset)
    cut = f"{tenant}\x1fcloudtrail".encode()
    one, other = seeded.read_bytes(), stream.snapshot()
    assert (
        one[one.index(cut) :].partition(b"evicted")[0]
        == (other[other.index(cut) :].partition(b"evicted")[0])
    ), "a seed from the store equals having streamed"
    assert await called(["models", "train", *mine, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["events"] == 400
    connection = await asyncpg.connect(postgres)
    await connection.execute("SELECT set_config('sentinel.tenant', '*', false)")
    await connection.execute(
        "UPDATE alerts SET disposition = 'true_positive' WHERE tenant = $1", tenant
    )
    await connection.close()
    assert await called(["models", "train", *mine, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["events"] == 395


def test_nothing_to_learn_from_is_said(database, mine, tmp_path, capsys) -> None:
    (tmp_path / "empty.json").write_text("[]")
    assert run(["models", "train", str(tmp_path / "empty.json"), *mine]) == 1
    assert "expected cloudtrail events of tenant tenant-" in capsys.readouterr().err
    assert run(["models", "score", str(tmp_path / "empty.json"), *mine]) == 1
    assert "train and promote one first" in capsys.readouterr().err
