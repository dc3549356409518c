"""Objects that come late, out of order and while reading is broken off: each read once."""

from __future__ import annotations

import io
import json
import random
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors._aws import s3
from connectors._aws.objects import fetch, progress
from connectors._aws.objects.layout import Root, Wanted, days, roots
from connectors._aws.objects.progress import Clock, Found, Mark, Progress, Walk
from connectors._aws.s3 import S3Objects, S3Settings
from connectors._reading.base import SourceError
from connectors.cloudtrail import CloudTrail

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATE = timedelta(hours=6)


class Body(io.BytesIO):
    def iter_chunks(self, size):
        return [self.getvalue()]


class Bucket:
    """A bucket in memory, whose objects appear when a test says so; lists three at a time."""

    def __init__(self) -> None:
        self.objects: dict[str, datetime] = {}

    def list_objects_v2(self, Prefix, Delimiter="", StartAfter="", ContinuationToken="", **_):  # noqa: N803
        inside = sorted(key for key in self.objects if key.startswith(Prefix))
        if Delimiter:
            parts = [key[len(Prefix) :].partition("/") for key in inside]
            names = sorted({name for name, slash, _ in parts if slash})
            return {"CommonPrefixes": [{"Prefix": f"{Prefix}{name}/"} for name in names]}
        after = max(StartAfter, ContinuationToken)
        page = [key for key in inside if key > after][:3]
        found = {"Contents": [{"Key": k, "Size": 9, "LastModified": self.objects[k]} for k in page]}
        if page and page[-1] != inside[-1]:
            found |= {"IsTruncated": True, "NextContinuationToken": page[-1]}
        return found

    def get_object(self, **_):
        return {"Body": Body(b'{"Records":[{"a":1}]}')}


class World:
    """Time, a bucket, and a reader whose process dies now and then."""

    def __init__(self, seed: int, monkeypatch) -> None:
        self.random, self.now, self.bucket = random.Random(seed), START, Bucket()
        self.position, self.read = None, []
        world = self

        class Moment(datetime):
            @classmethod
            def now(cls, tz=None):
                return world.now.astimezone(tz)

        monkeypatch.setattr(s3, "datetime", Moment)
        monkeypatch.setattr(fetch, "RECORDS", 2)

    def put(self, prefix: str) -> None:
        """Let an object appear: written up to 5 hours ago, of an event some minutes before."""
        written = self.now - self.random.random() * timedelta(hours=5)
        event = max(written - timedelta(minutes=30), self.now - LATE)
        name = f"{self.random.getrandbits(64):016x}"
        self.bucket.objects[f"{prefix}{event:%Y/%m/%d}/{name}"] = written

    def look(self, reader, most: int | None = None) -> None:
        """Read, at most some pages; what follows is read again by the next."""
        for number, page in enumerate(reader.read(json.loads(json.dumps(self.position)))):
            self.read += [record.id for record in page.records]
            self.position = page.position
            if most is not None and number >= most:
                break


@pytest.mark.parametrize("seed", range(12))
def test_no_late_object_is_lost_and_none_is_read_twice(seed, monkeypatch):
    world = World(seed, monkeypatch)
    trees = [f"AWSLogs/123456789012/CloudTrail/{region}-1/" for region in ("eu-west", "us-east")]
    reader = S3Objects(S3Settings(bucket="logs", since=START - timedelta(days=2)), CloudTrail())
    reader.__dict__["_s3"] = world.bucket
    for step in range(40):
        for _ in range(world.random.randrange(6)):
            world.put(world.random.choice(trees if step > 15 else trees[:1]))
        if world.random.random() < 0.8:
            world.look(reader, world.random.choice([None, 0, 1, 2]))
        hours = world.random.choice([0, 0.1, 1, 5, 5, 30 if step == 20 else 1])
        if hours > 5:
            world.look(reader)  # nothing is waiting when the machine is off for long
        world.now += timedelta(hours=hours)
    world.look(reader)
    assert len(world.read) == len(set(world.read))
    assert {id[10:-2] for id in world.read} == set(world.bucket.objects)


@pytest.mark.parametrize("seed", range(4))
def test_a_folder_without_days_neither(seed, monkeypatch):
    world = World(seed, monkeypatch)
    reader = S3Objects(S3Settings(bucket="logs", prefix="x/"), CloudTrail())
    reader.__dict__["_s3"] = world.bucket
    for _ in range(25):
        for _ in range(world.random.randrange(5)):
            world.put("x/flat-")
        world.look(reader, world.random.choice([None, 0, 1]))
        world.now += timedelta(hours=world.random.choice([0, 1, 4]))
    world.look(reader)
    assert len(world.read) == len(set(world.read))
    assert {id[10:-2] for id in world.read} == set(world.bucket.objects)


def test_a_bucket_that_is_empty_at_first(monkeypatch):
    world = World(1, monkeypatch)
    reader = S3Objects(S3Settings(bucket="logs", prefix="x/"), CloudTrail())
    reader.__dict__["_s3"] = world.bucket
    world.look(reader)
    for _ in range(3):
        world.put("x/")
        world.look(reader)
        world.now += timedelta(days=2)
    assert len(world.read) == len(set(world.read)) == 3


def test_what_is_remembered_is_bounded_and_loses_only_the_latest(monkeypatch):
    monkeypatch.setattr(progress, "MAX_SEEN", 100)
    state, clock = Progress(None), Clock(START, 6 * 3600)
    state.walks["x/"] = walk = Walk(date(2026, 3, 1), date(2026, 3, 2))
    at = int(START.timestamp())
    objects = [Found(f"x/{n}", 9, at - 5 * 3600 + n * 90) for n in range(200)]
    for each in objects:
        walk.swept(each, date(2026, 3, 1), clock)
    again = Progress(json.loads(json.dumps(state.position())))
    (mark,) = again.walks["x/"].marks.values()
    assert sum(map(len, mark.seen.values())) <= 100
    assert not any(again.walks["x/"].is_new(each, date(2026, 3, 1), clock) for each in objects)
    assert again.walks["x/"].is_new(Found("x/new", 9, at), date(2026, 3, 1), clock)
    for number in range(200):
        walk.swept(Found(f"y{number}", 9, at), date(2026, 3, 1), clock)
    with pytest.raises(SourceError, match="s3-sqs"):
        state.position()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=5), st.integers(0, 40_000)), max_size=30))
def test_a_mark_knows_what_it_was_told_and_survives_being_stored(told):
    mark = Mark()
    for key, written in told:
        mark.add(Found(key, 1, written), 3600)
    again = Mark.load(json.loads(json.dumps(mark.dump())))
    assert again == mark
    assert not any(again.is_new(Found(key, 1, written), 3600) for key, written in told)


def test_days_are_found_without_asking_for_each():
    asked = []
    tree = {
        "r/": ["r/2024/", "r/2026/", "r/other/"],
        "r/2024/": ["r/2024/02/"],
        "r/2024/02/": ["r/2024/02/29/", "r/2024/02/31/", "r/2024/02/x/"],
        "r/2026/": ["r/2026/01/", "r/2026/03/"],
        "r/2026/01/": ["r/2026/01/05/"],
    }

    def below(prefix):
        asked.append(prefix)
        return tree.get(prefix, [])

    root = Root("r/", "", 2024)
    found = list(days(root, date(2024, 1, 1), date(2026, 2, 1), below))
    assert found == [date(2024, 2, 29), date(2026, 1, 5)]
    assert len(asked) == 5
    assert len(list(days(root, date(2026, 1, 1), date(2026, 1, 3), below))) == 3


def test_too_many_folders_are_refused():
    def below(prefix):
        if prefix == "":
            return ["AWSLogs/"]
        return [f"AWSLogs/{n:012}/" for n in range(9000)] if prefix == "AWSLogs/" else []

    with pytest.raises(SourceError, match="by SQS"):
        roots("", below, Wanted())
