"""Whatever arrives ends as an event or as a dead letter with a reason; nothing stops for it."""

from __future__ import annotations

import json

import pytest
from confluent_kafka import Producer

pytestmark = pytest.mark.e2e

GOOD = {
    "eventVersion": "1.09", "eventTime": "2026-01-05T08:21:02Z", "eventName": "DescribeInstances",
    "eventSource": "ec2.amazonaws.com", "awsRegion": "eu-west-1", "readOnly": True,
    "sourceIPAddress": "192.0.2.10", "recipientAccountId": "111122223333",
    "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/alice",
                     "accountId": "111122223333", "userName": "alice"},
}  # fmt: skip


def event(**changes):
    """A good event with changes; None takes the field out."""
    return json.dumps({k: v for k, v in (GOOD | changes).items() if v is not None}).encode()


POISON = {
    "truncated": event()[:200],
    "nul": event().replace(b"alice", b"al\x00ce"),
    "utf8": event().replace(b"alice", b"al\xff\xfee"),
    "too_large": event(userAgent="x" * 10_000_000),
    "depth": b'{"eventName":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "schema_id": b"\x00\x00\x00\x00\x63" + event(),
    "missing": event(eventTime=None),
    "absurd_time": event(eventTime="9999-01-01T00:00:00Z"),
    "ancient": event(eventTime="0001-01-01T00:00:00Z"),
    "not_json": b"hello, world",
    "number": b"42",
    "empty": b"",
}


@pytest.fixture
def produce(platform, tenant):
    """Produce to raw.cloudtrail as any Kafka client does."""
    where = platform.json("status")
    kafka = next(row["address"] for row in where if row["part"] == "kafka")
    client = Producer({"bootstrap.servers": kafka, "message.max.bytes": 16_000_000})

    def send(*values):
        for value in values:
            client.produce("raw.cloudtrail", value, headers={"tenant": tenant})
        assert client.flush(120) == 0
        platform.json("push", "-", "--source", "cloudtrail", "--tenant", tenant, "--wait",
                      stdin=event(eventID=f"marker-{tenant}"))  # fmt: skip

    return send


def letters(platform, tenant, status="new"):
    rows = platform.json("dead-letters", "list", "--status", status)
    return [row for row in rows if row["tenant"] == tenant]


def test_poison_becomes_dead_letters_and_the_rest_goes_on(platform, tenant, produce):
    """Each poison record has a letter that says where it was and why; good ones are stored."""
    good = [event(eventID=f"good-{n}") for n in range(20)]
    produce(*good[:10], *POISON.values(), *good[10:])
    found = letters(platform, tenant)
    assert len(found) == len(POISON)
    for letter in found:
        assert letter["stage"] == "normalize"
        assert letter["origin"].startswith("raw.cloudtrail/")
        assert letter["reason"]
        assert letter["detail"].startswith("expected") or letter["detail"]
    assert len(platform.json("events", "--tenant", tenant)) == len(good) + 1
    assert platform.balance() == 0


def test_show_gives_the_whole_record_back(platform, tenant, produce):
    produce(POISON["too_large"])
    (letter,) = letters(platform, tenant)
    assert letter["size"] == len(POISON["too_large"])
    assert platform.run("dead-letters", "show", letter["id"], "--raw") == POISON["too_large"]


def test_replay_and_discard(platform, tenant, produce):
    """A replayed letter that still cannot be handled is a new letter; none is counted twice."""
    produce(POISON["missing"], POISON["not_json"])
    first, second = letters(platform, tenant)
    assert platform.json("dead-letters", "replay", first["id"]) == [{"replayed": 1}]
    produce()
    assert [row["id"] for row in letters(platform, tenant, "replayed")] == [first["id"]]
    again = [row for row in letters(platform, tenant) if row["id"] != second["id"]]
    assert [row["value"] for row in again] == [first["value"]]
    ids = [row["id"] for row in letters(platform, tenant)]
    assert platform.json("dead-letters", "discard", *ids) == [{"discarded": 2}]
    assert letters(platform, tenant) == []
    assert platform.balance() == 0


def test_wrong_ids_are_explained(platform):
    platform.run("dead-letters", "show", "99/99", check=False)
    assert platform.last.returncode == 1
    assert b"dead-letters list" in platform.last.stderr
