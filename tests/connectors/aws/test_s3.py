"""Objects in S3: everything is read once, wherever reading was broken off."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import re
import zlib
from datetime import UTC, datetime, timedelta

import psutil
import pytest
from moto.s3.models import s3_backends

from connectors._aws.objects import cut, fetch
from connectors._aws.s3 import S3Objects, S3Settings
from connectors._reading.base import MAX_POSITION, DeniedError, SourceError
from connectors.cloudtrail import CloudTrail
from connectors.vpc_flow import VpcFlow

ROOT = "AWSLogs/123456789012/CloudTrail/us-east-1/"
NOW = datetime.now(UTC)
FLOWS = b"version account-id interface-id srcaddr dstaddr start end action log-status\n" + b"".join(
    b"5 123456789012 eni-%d 192.0.2.1 198.51.100.7 1700000000 1700000060 ACCEPT OK\n" % n
    for n in range(1200)
)


def day(ago: int = 0) -> str:
    return (NOW - timedelta(days=ago)).strftime("%Y/%m/%d/")


@pytest.fixture
def reader(aws):
    made = []

    def make(connector=CloudTrail, **given):
        given = {"bucket": "logs", "endpoint_url": aws.url, "attempts": 2} | given
        found = S3Objects(S3Settings.model_validate(given), connector())
        made.append(found)
        return found

    yield make
    for each in made:
        each.close()


def ids(pages) -> list[str]:
    return [record.id for page in pages for record in page.records if not record.problem]


def until_error(reader):
    """Return the pages that come before an error, and the error."""
    pages, read = [], reader.read(None)
    try:
        pages.extend(itertools.chain.from_iterable((page,) for page in read))
    except SourceError as error:
        return pages, error
    raise AssertionError("expected an error")


def problems(pages) -> list[str]:
    return [record.problem for page in pages for record in page.records if record.problem]


def stored(position):
    """Return a position as it comes back from where the runner keeps it."""
    text = json.dumps(position)
    assert len(text) < MAX_POSITION
    return json.loads(text)


def refusal(code: str, status: int = 403, **headers: str):
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>"
    return status, {"Content-Type": "application/xml", **headers}, body.encode()


def test_every_object_is_read_once_and_then_only_what_is_new(cloud, reader, trail):
    cloud.bucket()
    for ago in (400, 30, 2, 1, 0):
        for number in range(3):
            cloud.put(f"{ROOT}{day(ago)}a{number}.json.gz", gzip.compress(trail(2)))
    mine = reader()
    pages = list(mine.read(None))
    assert len(ids(pages)) == len(set(ids(pages))) == 30
    assert ids(pages)[0] == f"s3://logs/{ROOT}{day(400)}a0.json.gz#0"
    assert ids(mine.read(pages[-1].position)) == []
    cloud.put(f"{ROOT}{day(0)}a0-late.json.gz", gzip.compress(trail(2)))
    cloud.put(f"{ROOT}{day(0)}0-before-all.json.gz", gzip.compress(trail(1)))
    again = list(reader().read(stored(pages[-1].position)))
    assert len(ids(again)) == 3
    assert ids(reader().read(again[-1].position)) == []


def test_going_on_from_any_page_reads_each_record_once(cloud, reader, trail, monkeypatch):
    monkeypatch.setattr(fetch, "RECORDS", 7)
    monkeypatch.setattr(fetch, "LARGE", 4_000)
    cloud.bucket()
    for ago, number in itertools.product((1, 0), range(3)):
        plain = trail(1 + 9 * number, f"{ago}-{number}")
        cloud.put(f"{ROOT}{day(ago)}a{number}.json", plain if number % 2 else gzip.compress(plain))
    mine = reader()
    pages = list(mine.read(None))
    whole = ids(pages)
    assert len(whole) == len(set(whole)) == 2 * (1 + 10 + 19)
    assert any("parts" in page.position for page in pages)
    assert max(len(page.records) for page in pages) == 7
    for at in range(len(pages)):
        rest = ids(mine.read(stored(pages[at].position)))
        assert ids(pages[: at + 1]) + rest == whole


def test_asked_to_stop_it_ends_after_the_page_it_is_at(cloud, reader, trail, monkeypatch):
    monkeypatch.setattr(fetch, "RECORDS", 2)
    cloud.bucket()
    for name in "abc":
        cloud.put(f"{ROOT}{day(1)}{name}", trail(2))
    mine, pages = reader(), []
    for page in mine.read(None):
        pages.append(page)
        mine.stopping.set()
    assert len(pages) == 1
    assert len(ids(pages) + ids(reader().read(stored(pages[0].position)))) == 6


def test_trees_of_organisations_accounts_and_regions(cloud, reader, trail):
    cloud.bucket()
    for account, region in itertools.product(
        ("111111111111", "222222222222"), ("eu-west-1", "us-east-1")
    ):
        for kind in ("CloudTrail", "CloudTrail-Digest", "CloudTrail-Insight", "Config"):
            key = f"my/AWSLogs/o-abc123/{account}/{kind}/{region}/{day(1)}x.json"
            cloud.put(key, trail(1))
    every = ids(reader(prefix="my/").read(None))
    assert len(every) == 8
    assert not any("Digest" in id or "Config" in id for id in every)
    given = {"accounts": ["111111111111"], "regions": ["eu-west-1"]}
    some = ids(reader(prefix="my/AWSLogs/", **given).read(None))
    assert len(some) == 2
    assert all("/111111111111/" in id and "/eu-west-1/" in id for id in some)


def test_hive_folders_and_blocks_of_lines_below_their_header(cloud, reader):
    cloud.bucket()
    tree = "AWSLogs/aws-account-id=111111111111/aws-service=vpcflowlogs/aws-region=eu-west-1/"
    at = NOW - timedelta(days=1)
    cloud.put(
        f"{tree}year={at.year}/month={at.month:02}/day={at.day:02}/hour=03/a.log.gz",
        gzip.compress(FLOWS),
    )
    cloud.put(tree.replace("vpcflowlogs", "other") + "year=2024/month=01/day=01/x", b"no")
    records = [each for page in reader(VpcFlow).read(None) for each in page.records]
    assert [record.id.rpartition("#")[2] for record in records] == ["1", "501", "1001"]
    lines = [unit for record in records for unit in VpcFlow().split(record.value)]
    assert [line.split(b"\n")[1] for line in lines] == FLOWS.splitlines()[1:]


def test_a_folder_without_days_and_a_time_to_begin_at(cloud, reader, trail):
    cloud.bucket()
    for name in ("b", "a", "folder/c"):
        cloud.put(f"export/{name}", trail(1))
    cloud.put("export/folder/", b"")
    mine = reader(prefix="export/")
    pages = list(mine.read(None))
    assert [id[17:] for id in ids(pages)] == ["a#0", "b#0", "folder/c#0"]
    cloud.put("export/0", trail(1))
    assert [id[17:] for id in ids(mine.read(stored(pages[-1].position)))] == ["0#0"]
    assert ids(reader(prefix="export/", since=NOW + timedelta(hours=1)).read(None)) == []
    cloud.put(f"{ROOT}{day(9)}old", trail(1))
    cloud.put(f"{ROOT}{day(1)}new", trail(1))
    since = NOW - timedelta(days=2)
    assert len(ids(reader(prefix="AWSLogs/", since=since).read(None))) == 1


def test_what_is_damaged_gone_or_archived_is_told_and_the_rest_is_read(cloud, reader, trail, aws):
    cloud.bucket()
    random = [
        each | {"requestID": os.urandom(200).hex()} for each in json.loads(trail(50))["Records"]
    ]
    packed = gzip.compress(json.dumps({"Records": random}).encode())
    folder = f"{ROOT}{day(1)}"
    cloud.put(f"{folder}a", packed[: len(packed) // 2])
    cloud.put(f"{folder}b-gone", trail(1))
    cloud.put(f"{folder}c-archived", trail(1))
    cloud.put(f"{folder}d", trail(3)[:-30])
    cloud.put(f"{folder}e", packed + b"junk")
    cloud.put(f"{folder}f", b'{"Records": [{"a": 1}, {"b": 2')

    def answer(method, path, body):
        if path.endswith("gone"):
            return refusal("NoSuchKey", 404)
        return refusal("InvalidObjectState") if path.endswith("archived") else None

    aws.faults.append(answer)
    pages = list(reader().read(None))
    read = [id.rpartition("/")[2] for id in ids(pages)]
    assert 5 < sum(id.startswith("a#") for id in read) < 50
    assert [id for id in read if id[0] in "df"] == ["d#0", "d#1", "f#0"]
    assert sum(id.startswith("e#") for id in read) == 50
    reasons = [each.partition(":")[0] for each in problems(pages)]
    assert sorted(reasons) == ["archived", "corrupt", "json", "json", "truncated", "truncated"]
    assert pages[0].skipped == {"object_gone": 1, "archived": 1}


def test_several_gzip_members_and_values_without_lines_between(cloud, reader, trail):
    cloud.bucket()
    one = json.loads(trail(3))["Records"]
    members = b"".join(gzip.compress(json.dumps(each).encode()) for each in one)
    cloud.put("x/members", members)
    cloud.put("x/lines", b"\n".join(json.dumps(each).encode() for each in one) + b'\n{"cut')
    pages = list(reader(prefix="x/").read(None))
    names = ["lines#0", "lines#1", "lines#2", "lines#3", "members#0", "members#1", "members#2"]
    assert [id.rpartition("/")[2] for id in ids(pages)] == names


@pytest.mark.parametrize(
    ("code", "status", "headers", "expected"),
    [
        ("ExpiredToken", 400, {}, "expired"),
        ("InvalidAccessKeyId", 403, {}, "does not know the credentials"),
        ("AccessDenied", 403, {}, r"s3:ListBucket on arn:aws:s3:::logs"),
        ("AuthorizationHeaderMalformed", 400, {"x-amz-bucket-region": "eu-west-3"}, "eu-west-3"),
    ],
)
def test_a_refusal_says_what_is_missing(aws, reader, code, status, headers, expected):
    aws.faults.append(lambda *asked: refusal(code, status, **headers))
    with pytest.raises(DeniedError, match=expected):
        list(reader().read(None))
    checks = list(reader().check())
    assert not any(check.ok for check in checks)


def test_a_right_that_lacks_for_one_object_costs_nothing_before_it(cloud, reader, trail, aws):
    cloud.bucket()
    for name in "abc":
        cloud.put(f"{ROOT}{day(1)}{name}", trail(2))
    aws.faults.append(lambda m, path, b: refusal("AccessDenied") if path.endswith("/b") else None)
    mine = reader()
    pages, error = until_error(mine)
    assert isinstance(error, DeniedError)
    assert re.search(r"s3:GetObject on .*/b and kms:Decrypt", str(error))
    assert len(ids(pages)) == 2
    aws.faults.clear()
    assert len(ids(mine.read(stored(pages[-1].position)))) == 4


def test_throttling_and_errors_of_the_server_are_ridden_out(cloud, reader, trail, aws):
    cloud.bucket()
    for number in range(8):
        cloud.put(f"{ROOT}{day(1)}{number:02}", trail(2))
    count = itertools.count()

    def answer(method, path, body):
        number = next(count)
        if number % 4 == 1:
            return refusal("SlowDown", 503) if number % 8 == 1 else refusal("InternalError", 500)
        return None

    aws.faults.append(answer)
    found = ids(reader(attempts=6).read(None))
    assert len(found) == len(set(found)) == 16
    aws.faults[:] = [lambda *asked: refusal("SlowDown", 503)]
    with pytest.raises(SourceError, match="throttled") as caught:
        list(reader().read(None))
    assert caught.value.retry_after_s
    assert not isinstance(caught.value, DeniedError)


def test_a_connection_that_breaks_loses_nothing(cloud, reader, trail, aws, monkeypatch):
    monkeypatch.setattr(fetch, "LARGE", 1_000)
    monkeypatch.setattr(fetch, "RECORDS", 100)
    monkeypatch.setattr(cut, "SMALL", 100_000)
    cloud.bucket()
    body = trail(3000)
    cloud.put(f"{ROOT}{day(1)}big", body)

    def half(method, path, asked):
        if method == "GET" and path.endswith("/big"):
            return 200, {"Content-Length": str(len(body))}, (body[: len(body) // 2],)
        return None

    aws.faults.append(half)
    mine = reader()
    pages, error = until_error(mine)
    assert "connection broke" in str(error)
    assert 0 < len(ids(pages)) < 3000
    aws.faults.clear()
    rest = ids(mine.read(stored(pages[-1].position)))
    assert set(ids(pages)) | set(rest) == {f"s3://logs/{ROOT}{day(1)}big#{n}" for n in range(3000)}


def test_thousands_of_objects(cloud, reader, trail):
    cloud.bucket()
    backend, body = s3_backends["123456789012"]["aws"], gzip.compress(trail(4))
    for number in range(600):
        backend.put_object("logs", f"{ROOT}{day(number % 3)}{number:05}.json.gz", body)
    pages = list(reader().read(None))
    assert len(set(ids(pages))) == len(ids(pages)) == 2400


#: Bytes of the large object; 2147483648 takes a minute, and as much memory as 300 MB.
LARGE = int(os.environ.get("SENTINEL_LARGE_OBJECT", "300000000"))


def test_a_large_object_streams_in_bounded_memory(cloud, reader, trail, monkeypatch):
    more = {"requestParameters": {"policyDocument": "{} " * 1500}}
    records = [each | more for each in json.loads(trail(1000))["Records"]]
    block = b",".join(json.dumps(each).encode() for each in records)
    times = -(-LARGE // len(block))
    packer = zlib.compressobj(1, wbits=31)
    parts = itertools.chain([b'{"Records":[', block], [b"," + block] * (times - 1), [b"]}"])
    body = b"".join([*map(packer.compress, parts), packer.flush()])
    cloud.bucket()
    cloud.put(f"{ROOT}{day(1)}huge.json.gz", body)
    monkeypatch.setattr(fetch, "LARGE", 1 << 20)
    assert len(body) > fetch.LARGE
    process = psutil.Process(os.getpid())
    before = most = process.memory_info().rss
    count = 0
    for page in reader().read(None):
        count += len(page.records)
        most = max(most, process.memory_info().rss)
    assert count == 1000 * times
    assert most - before < 100 << 20


def test_what_is_listed_is_named_as_what_is_read(cloud, reader, trail):
    cloud.bucket()
    for ago in (5, 2, 1):
        cloud.put(f"{ROOT}{day(ago)}x.json", trail(2))
    mine = reader()
    pages = list(mine.read(None))
    read = {id.rpartition("#")[0] for id in ids(pages)}
    assert {name for page in pages for name in page.done} == read
    listed = list(mine.listing(NOW - timedelta(days=6), NOW))
    assert {each.id for each in listed} == read
    assert len(list(mine.listing(NOW - timedelta(days=2), NOW))) == 2
    assert all(check.ok for check in mine.check())
    assert [check.what.split()[0] for check in mine.check()] == [
        "sts:GetCallerIdentity",
        "s3:ListBucket",
        "s3:GetObject",
    ]
