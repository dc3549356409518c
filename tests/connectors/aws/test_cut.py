"""Bodies of objects: however the bytes come in pieces, the same records come out."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors._aws.objects import body, cut, json_cut
from connectors._aws.objects.body import Body
from connectors._aws.objects.cut import Cutter
from connectors._aws.objects.json_cut import JsonCut
from connectors.auditd import Auditd
from connectors.cloudtrail import CloudTrail
from connectors.guardduty import GuardDuty

CUTTER = Cutter(CloudTrail())
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
objects = st.dictionaries(st.text(max_size=6), values, min_size=1, max_size=4)


def pieces(value: bytes, sizes: list[int]) -> list[bytes]:
    """Cut bytes up into pieces of these sizes, over and over."""
    found, at, turn = [], 0, 0
    while at < len(value):
        found.append(value[at : at + sizes[turn % len(sizes)]])
        at, turn = at + len(found[-1]), turn + 1
    return found


def spelled(items, shape: str, indent: int | None) -> bytes:
    texts = [json.dumps(item, indent=indent).encode() for item in items]
    if shape == "Records":
        return b'{"Records": [' + b" , ".join(texts) + b'], "more": {"x": [1]}}'
    return b"[" + b",\n".join(texts) + b"]" if shape == "array" else b"".join(texts)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(objects, min_size=1, max_size=6),
    st.sampled_from(["Records", "array", "values"]),
    st.sampled_from([None, 2]),
    st.lists(st.integers(1, 50), min_size=1, max_size=5),
)
def test_json_in_any_pieces_gives_its_records_untouched(items, shape, indent, sizes):
    text = spelled(items, shape, indent)
    tool = JsonCut()
    found = list(tool.all(pieces(text, sizes)))
    assert [json.loads(record) for record in found] == items
    assert all(record in text for record in found)
    assert tool.rest() == b""


@settings(max_examples=100, deadline=None)
@given(
    st.lists(objects, min_size=2, max_size=6),
    st.sampled_from(["Records", "array"]),
    st.lists(st.integers(1, 50), min_size=1, max_size=5),
    st.floats(0, 1),
)
def test_what_is_cut_off_gives_the_records_before(items, shape, sizes, place):
    text = spelled(items, shape, None)
    tool = JsonCut()
    least = text.index(b"[") + 1
    kept = text[: least + int(place * (len(spelled(items, "array", None)) - 2))]
    found = list(tool.all(pieces(kept, sizes)))
    assert [json.loads(record) for record in found] == items[: len(found)]
    assert len(found) == len(items) or tool.rest() or kept.rstrip(b", \n")[-1:] in b"}["


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.lists(st.integers(1, 20), min_size=1, max_size=4))
def test_any_bytes_are_cut_up_and_nothing_but_faults_is_made_up(value, sizes):
    for data in (
        value,
        gzip.compress(value),
        gzip.compress(value)[:-4],
        b"[" + value,
        b"{" + value,
    ):
        records = list(CUTTER.records(pieces(data, sizes), "s3://b/k"))
        assert all(record.id.startswith("s3://b/k") for record in records)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.binary(max_size=300), min_size=1, max_size=4),
    st.lists(st.integers(1, 40), min_size=1, max_size=4),
    st.integers(1, 64),
)
def test_gzip_of_several_members_in_any_pieces(parts, sizes, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(body, "PIECE", most)
        packed = b"".join(map(gzip.compress, parts))
        opened = Body(pieces(packed, sizes))
        got = list(opened)
    assert (b"".join(got), opened.fault) == (b"".join(parts), "")
    assert max(map(len, got), default=0) <= most


@pytest.mark.parametrize("shape", ["Records", "array", "lines"])
def test_large_and_small_bodies_give_the_same_records(shape, monkeypatch):
    items = [{"eventID": f"e{n}", "x": {"y": ["{", "}]", '"']}} for n in range(300)]
    lines = b"\n".join(json.dumps(item).encode() for item in items)
    text = lines if shape == "lines" else spelled(items, shape, None)
    small = list(CUTTER.records([text], "s3://b/k"))
    monkeypatch.setattr(cut, "SMALL", 1000)
    large = list(CUTTER.records(pieces(text, [700]), "s3://b/k"))
    assert small == large
    assert [record.id for record in small] == [f"s3://b/k#{n}" for n in range(300)]


def test_a_record_that_is_far_too_large_is_told_of_and_its_neighbours_are_read(monkeypatch):
    monkeypatch.setattr(json_cut, "MAX_RECORD", 50_000)
    monkeypatch.setattr(json_cut, "_OVERSIZE", 10_000)
    monkeypatch.setattr(cut, "SMALL", 1000)
    text = spelled([{"a": 1}, {"b": "x" * 200_000}, {"c": 3}], "Records", None)
    records = list(CUTTER.records(pieces(text, [4096]), "s3://b/k"))
    assert [json.loads(r.value) for r in records if not r.problem] == [{"a": 1}, {"c": 3}]
    assert [r.problem.partition(":")[0] for r in records if r.problem] == ["too_large"]


def test_one_huge_envelope_whose_list_comes_late(monkeypatch):
    monkeypatch.setattr(json_cut, "_OVERSIZE", 10_000)
    monkeypatch.setattr(cut, "SMALL", 1000)
    events = [{"id": n, "pad": "x" * 500} for n in range(100)]
    text = json.dumps({"messageType": "DATA", "n": {"a": [1]}, "Findings": events}).encode()
    records = list(Cutter(GuardDuty()).records(pieces(text, [3000]), "s3://b/k"))
    assert [json.loads(record.value) for record in records] == events


def test_lines_of_text_stay_together_in_blocks_of_one_partition():
    lines = [
        b"type=SYSCALL msg=audit(1767225600.%03d:%d): arch=c000003e" % (n, n) for n in range(900)
    ]
    records = list(
        Cutter(Auditd()).records([gzip.compress(b"\n".join(lines))], "s3://b/h/audit.log")
    )
    assert b"\n".join(record.value for record in records).split(b"\n") == lines
    assert {record.key for record in records} == {b"s3://b/h"}
    assert [record.id for record in records] == ["s3://b/h/audit.log#0", "s3://b/h/audit.log#500"]
