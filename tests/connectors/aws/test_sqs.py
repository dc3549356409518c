"""Objects that notifications tell of: deleted only when safe, read once however often told."""

from __future__ import annotations

import gzip
import json
import uuid

import pytest

from connectors._aws.notices import read
from connectors._aws.objects import fetch
from connectors._aws.sqs import S3Notified, SqsSettings
from connectors._reading.base import DeniedError
from connectors.cloudtrail import CloudTrail


class Queue:
    def __init__(self, cloud, aws):
        self.sqs = cloud.client("sqs")
        name = f"q{uuid.uuid4().hex}"
        url = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        self.url, self.aws = url, aws

    def send(self, body) -> None:
        text = body if isinstance(body, str) else json.dumps(body)
        self.sqs.send_message(QueueUrl=self.url, MessageBody=text)

    def left(self) -> tuple[int, int]:
        """Return how many messages wait, and how many are hidden."""
        got = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["All"])["Attributes"]
        kinds = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        return int(got[kinds[0]]), int(got[kinds[1]])


@pytest.fixture
def queue(cloud, aws):
    cloud.bucket()
    return Queue(cloud, aws)


@pytest.fixture
def reader(aws, queue):
    made = []

    def make(**given):
        given = {"queue_url": queue.url, "endpoint_url": aws.url, "wait_s": 0} | given
        made.append(S3Notified(SqsSettings.model_validate(given | {"attempts": 2}), CloudTrail()))
        return made[-1]

    yield make
    for each in made:
        each.close()


def s3_event(key: str, name: str = "ObjectCreated:Put", **of_object):
    entry = {"key": key, "size": 10, **of_object}
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "eventTime": "2026-01-01T00:00:00.000Z",
                "eventName": name,
                "s3": {"bucket": {"name": "logs"}, "object": entry},
            }
        ]
    }


def eventbridge(key: str, kind: str = "Object Created"):
    return {
        "source": "aws.s3",
        "detail-type": kind,
        "time": "2026-01-01T00:00:00Z",
        "detail": {"bucket": {"name": "logs"}, "object": {"key": key, "size": 10}},
    }


def sns(message):
    return {"Type": "Notification", "MessageId": "1", "Message": json.dumps(message)}


def ids(pages) -> list[str]:
    return [record.id for page in pages for record in page.records if not record.problem]


def test_every_shape_of_notification_is_read_and_deleted(cloud, queue, reader, trail):
    keys = ["a b/1.json", "a+b/2.json", "c", "d", "e"]
    for key in keys:
        cloud.put(key, gzip.compress(trail(2)))
    queue.send(s3_event("a+b/1.json"))
    queue.send(sns(s3_event("a%2Bb/2.json")))
    queue.send(eventbridge("c"))
    queue.send(sns(eventbridge("d")))
    queue.send({"s3Bucket": "logs", "s3ObjectKey": ["e"]})
    queue.send({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "logs"})
    queue.send(s3_event("a+b/1.json", "ObjectRemoved:Delete"))
    queue.send(eventbridge("c", "Object Deleted"))
    queue.send(s3_event("AWSLogs/1/CloudTrail-Digest/x"))
    pages = list(reader().read(None))
    assert sorted(ids(pages)) == sorted(f"s3://logs/{key}#{n}" for key in keys for n in (0, 1))
    skipped = [page.skipped for page in pages if page.skipped]
    assert skipped == [{"test": 1, "not_created": 2, "other_prefix": 1}]
    assert queue.left() == (0, 0)


def test_a_bucket_that_notifies_by_itself(cloud, queue, reader, trail):
    arn = queue.sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["QueueArn"])
    queues = [{"QueueArn": arn["Attributes"]["QueueArn"], "Events": ["s3:ObjectCreated:*"]}]
    cloud.client("s3").put_bucket_notification_configuration(
        Bucket="logs", NotificationConfiguration={"QueueConfigurations": queues}
    )
    cloud.put("with space/x.json", trail(3))
    assert len(ids(reader().read(None))) == 3


def test_a_message_is_deleted_only_when_its_page_is_safe(cloud, queue, reader, trail):
    cloud.put("a", trail(2))
    queue.send(s3_event("a"))
    pages = reader(visibility_s=1).read(None)
    assert len(next(pages).records) == 2
    assert queue.left() == (0, 1)
    pages.close()  # the process dies here
    assert sum(queue.left()) == 1
    queue.sqs.purge_queue(QueueUrl=queue.url)
    queue.send(s3_event("a"))
    assert ids(reader().read(None)) == ["s3://logs/a#0", "s3://logs/a#1"]
    assert queue.left() == (0, 0)


def test_an_object_told_of_twice_is_read_once_and_both_messages_go(cloud, queue, reader, trail):
    cloud.put("a", trail(2))
    cloud.put("b", trail(1))
    for key in ("a", "b", "a"):
        queue.send(s3_event(key))
    pages = list(reader().read(None))
    assert sorted(ids(pages)) == ["s3://logs/a#0", "s3://logs/a#1", "s3://logs/b#0"]
    assert queue.left() == (0, 0)


def test_a_large_object_keeps_its_message_hidden(cloud, queue, reader, trail, aws, monkeypatch):
    monkeypatch.setattr(fetch, "RECORDS", 50)
    cloud.put("a", trail(500))
    queue.send(s3_event("a", size=1 << 30))
    mine = reader(visibility_s=2)
    clock = iter(range(0, 10_000))
    monkeypatch.setattr("connectors._aws.sqs.time.monotonic", lambda: float(next(clock)))
    assert len(ids(mine.read(None))) == 500
    assert sum("ChangeMessageVisibilityBatch" in path for _, path in aws.asked) >= 5
    assert queue.left() == (0, 0)


def test_what_nobody_understands_is_given_up_as_a_dead_letter(queue, reader):
    queue.send("no JSON at all")
    mine = reader(visibility_s=1, max_receives=2)
    first = list(mine.read(None))
    assert [page.skipped for page in first] == [{"notice_not_understood": 1}]
    assert ids(first) == []
    queue.sqs.purge_queue(QueueUrl=queue.url)
    queue.send('{"other": "thing"}')
    once = list(reader(max_receives=1).read(None))
    assert [page.skipped for page in once] == [{"poison": 1}]
    (record,) = once[0].records
    assert record.problem.startswith("poison: expected a notification")
    assert record.value == b'{"other": "thing"}'
    assert queue.left() == (0, 0)


def test_an_object_that_is_gone_is_counted_and_its_message_deleted(queue, reader):
    queue.send(s3_event("never"))
    pages = list(reader().read(None))
    assert [page.skipped for page in pages] == [{"object_gone": 1}]
    assert queue.left() == (0, 0)


def test_a_refusal_leaves_the_messages(cloud, queue, reader, trail, aws):
    cloud.put("a", trail(2))
    queue.send(s3_event("a"))
    denied = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
    aws.faults.append(lambda m, path, b: (403, {}, denied) if path.endswith("/a") else None)
    with pytest.raises(DeniedError, match="s3:GetObject"):
        list(reader().read(None))
    assert sum(queue.left()) == 1
    assert all(check.ok for check in reader().check())


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "null",
        '{"Records": 1}',
        '{"Records": [{"s3": 1, "eventName": 2}]}',
        "[" * 9999,
        '{"Type": "Notification", "Message": "{"}',
        '{"source": "aws.s3"}',
        '{"Records": []}',
    ],
)
def test_any_message_is_read(body):
    told = read(body)
    assert told is None or not told.notices
