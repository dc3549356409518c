"""Blobs that grow, read by the real ContainerClient over HTTP from a double."""

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors._azure.reading import blobs
from connectors._azure.reading.blobs import BlobReader, BlobSettings, cut
from connectors._reading.base import DeniedError, SourceError
from connectors.nsg_flow import NsgFlow
from sentinel.testing.azure import StorageDouble
from sentinel.testing.draining import Drain
from sentinel.testing.server import cut as broken
from sentinel.testing.server import expired, failed, throttled

CONTAINER = "insights-logs-networksecuritygroupflowevent"


@pytest.fixture
def double(server, login):
    return StorageDouble(server, CONTAINER, login.tokens)


@pytest.fixture
def drain(server, account, clock, double):
    def make():
        reader = BlobReader(BlobSettings(account_url=server.url, **account), NsgFlow())
        reader.clock = clock
        return reader

    return Drain(make, SourceError)


def flow_log(records):
    return b'{"records":[' + b",".join(json.dumps(r).encode() for r in records) + b"]}"


def test_a_blob_that_grows_before_its_end_is_read_on(drain, double, now):
    records = [{"n": n, "text": "grüße"} for n in range(5)]
    double.blobs["h=09/PT1H.json"] = flow_log(records[:2]), now
    drain.run()
    double.blobs["h=09/PT1H.json"] = flow_log(records), now + timedelta(minutes=1)
    drain.run()

    assert [json.loads(record.value) for record in drain.records] == records
    assert len(set(drain.ids)) == 5


def test_what_did_not_change_is_not_read_again(server, drain, double, now):
    double.blobs["a"] = flow_log([{"n": 1}]), now
    drain.run()
    server.requests.clear()
    drain.run()

    assert server.asked(f"/{CONTAINER}/.*") == []


def test_lines_that_are_appended_and_one_half_written(drain, double, now):
    double.blobs["lines.json"] = b'{"n":1}\r\n{"n":2}\r\n{"n":', now
    drain.run()
    double.blobs["lines.json"] = b'{"n":1}\r\n{"n":2}\r\n{"n":3}\r\n', now + timedelta(minutes=1)
    drain.run()

    assert [json.loads(record.value)["n"] for record in drain.records] == [1, 2, 3]


def test_many_blobs_in_pieces_over_failures_and_crashes(server, drain, double, now, monkeypatch):
    monkeypatch.setattr(blobs, "PIECE", 100)
    for hour in range(7):
        records = [{"hour": hour, "n": n, "pad": "x" * 70} for n in range(5)]
        double.blobs[f"h={hour:02}/PT1H.json"] = flow_log(records), now - timedelta(hours=7 - hour)
    server.script(f"/{CONTAINER}.*", None, None, throttled(4), None, failed(500), None, broken())
    server.script(f"/{CONTAINER}/.*", None, None, None, None, expired())
    drain.run(pages=3)
    drain.run(tries=20)

    assert len(set(drain.ids)) == 35
    assert len(drain.ids) <= 35 + 5
    assert 4.0 in [error.retry_after_s for error in drain.errors]


def test_junk_at_the_end_becomes_a_dead_letter_once_it_is_old(drain, double, now, clock):
    double.blobs["junk.json"] = b'{"n":1}\n{"n": tru', now
    drain.run()
    clock.move(7200)
    drain.run()
    drain.run()

    assert [record.problem.partition(":")[0] for record in drain.records] == ["", "json"]
    assert drain.ids == [f"azblob:{CONTAINER}/junk.json#0", f"azblob:{CONTAINER}/junk.json#7"]


def test_a_blob_deleted_between_list_and_get_is_counted(server, drain, double, now):
    double.blobs["gone"] = flow_log([{"n": 1}]), now
    double.blobs["kept"] = flow_log([{"n": 2}]), now + timedelta(minutes=1)
    server.script(f"/{CONTAINER}/gone", lambda request, answer: vanish(double, request, answer))
    drain.run()

    assert [json.loads(record.value) for record in drain.records] == [{"n": 2}]


def vanish(double, request, answer):
    del double.blobs["gone"]
    return answer(request)


def test_forgetting_blobs_forgets_no_record(drain, double, now, monkeypatch):
    monkeypatch.setattr(blobs, "MOST", 3)
    for n in range(9):
        double.blobs[f"{n}"] = flow_log([{"n": n}]), now + timedelta(minutes=n // 4)
    drain.run()
    double.blobs["new"] = flow_log([{"n": "new"}]), now + timedelta(hours=1)
    drain.run()

    assert len(drain.ids) == len(set(drain.ids)) == 10
    assert len(drain.position["blobs"]) < 9


def test_check_and_listing(server, account, double, now, made):
    reader = made(BlobReader(BlobSettings(account_url=server.url, **account), NsgFlow()))
    double.blobs["a"] = flow_log([{"n": 1}]), now
    double.blobs["b"] = flow_log([{"n": 1}]), now + timedelta(days=1)

    assert [check.ok for check in reader.check()] == [True]
    listed = list(reader.listing(now, now + timedelta(hours=1)))
    assert [one.id for one in listed] == [f"azblob:{CONTAINER}/a"]


def test_a_missing_role_is_named(server, drain, double):
    server.script(f"/{CONTAINER}", *[failed(403)] * 3)
    with pytest.raises(AssertionError, match="Storage Blob Data Reader"):
        drain.run(tries=1)
    assert isinstance(drain.errors[0], DeniedError)


@given(
    st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers(), max_size=3)),
    st.sampled_from(["array", "lines"]),
    st.integers(1, 60),
)
def test_any_blob_cut_anywhere_gives_its_records(records, shape, piece):
    texts = [json.dumps(record, ensure_ascii=False) for record in records]
    whole = f'{{"records":[{",".join(texts)}]}}' if shape == "array" else "\n".join(texts)
    data, found, offset, size = whole.encode(), [], 0, piece
    while offset < len(data):
        cuts = list(cut(data[offset : offset + size], offset == 0))
        found += [json.loads(value) for _, value in cuts if value is not None]
        used = cuts[-1][0] if cuts else 0
        if offset + size >= len(data):
            break
        size = size * 2 if used == 0 else piece
        offset += used

    assert found == records
