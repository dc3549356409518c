"""`models`: train, list, promote, roll back, score, and a seed that equals streaming."""

from __future__ import annotations

import json

import numpy as np
import pytest

from detectors.detect import Detector
from detectors.scoring.choose import online_models
from sentinel.cli import _stored
from sentinel.cli.app import run
from sentinel.settings import Settings
from streams.detect import DetectStage

SOURCE = ("--source", "cloudtrail")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SENTINEL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


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


def test_from_training_to_going_back(home, logs, capsys) -> None:
    (first,) = rows(capsys, "train", logs, *SOURCE)
    assert first["events"] == 400
    assert first["parameters"]["contamination"] == 0.1
    assert run(["models", "promote", "1", *SOURCE]) == 0
    (second,) = rows(capsys, "train", logs, *SOURCE, "--seed", "7", "--contamination", "0.2")
    assert second["compared_with_live"]["rank_correlation"] > 0
    assert run(["models", "promote", "2", *SOURCE]) == 0
    assert [row["live"] for row in rows(capsys, "list", *SOURCE)] == [False, True]
    assert run(["models", "rollback", *SOURCE]) == 0
    assert [row["live"] for row in rows(capsys, "list", *SOURCE)] == [True, False]
    odd = rows(capsys, "score", logs, *SOURCE, "--limit", "3")
    assert len(odd) == 3
    assert odd[0]["anomaly"] >= odd[1]["anomaly"] >= odd[2]["anomaly"]
    assert run(["models", "promote", "9", *SOURCE]) == 1
    assert "expected a version of isolation_forest among 1, 2, found 9" in capsys.readouterr().err


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


def test_nothing_to_learn_from_is_said(home, tmp_path, capsys) -> None:
    (tmp_path / "empty.json").write_text("[]")
    assert run(["models", "train", str(tmp_path / "empty.json"), *SOURCE]) == 1
    assert "expected cloudtrail events of tenant default" in capsys.readouterr().err
    assert run(["models", "score", str(tmp_path / "empty.json"), *SOURCE]) == 1
    assert "train and promote one first" in capsys.readouterr().err
