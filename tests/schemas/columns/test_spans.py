"""The scanner and `Records` against orjson and the decoder that they stand in for."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.columns.scan import MAX_DEPTH
from schemas.columns.spans import Keys, Spans
from schemas.typed import TypedJson

NAMES = ["a", "b", "eventName", "a long key of more than sixteen bytes", "@timestamp"]
KEYS = Keys(NAMES)
leaves = st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.text(max_size=8)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["kind", "name", "first"]), inner, max_size=3)
    ),
    max_leaves=6,
)
objects = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=8), values, max_size=6)
spaces = st.sampled_from(["", " ", "\n", "\t \r\n"])


def read(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except ValueError:
        return ValueError


def check(raws: list[bytes]) -> None:
    """What is accepted is JSON, and every wanted value is where the scanner says."""
    spans = Spans.of(KEYS, raws)
    if spans is None:
        return
    for row, raw in enumerate(raws):
        found = read(raw)
        assert isinstance(found, dict), raw
        for name in NAMES:
            (text,) = spans.texts(name, slice(row, row + 1))
            assert (name in found) == bool(text)
            assert not text or read(text) == found[name]


@given(st.lists(objects, min_size=1, max_size=4), st.booleans(), spaces)
def test_plain_objects_are_accepted_and_read_as_orjson_does(
    made: list[dict[str, Any]], escaped: bool, space: str
) -> None:
    texts = [json.dumps(each, ensure_ascii=escaped, indent=space or None) for each in made]
    try:
        raws = [(space + text + space).encode() for text in texts]
    except UnicodeEncodeError:
        return
    check(raws)
    wanted = [each for each in made if not any(map(str.isascii, each)) or escaped]
    unusual = any("\\" in text for text in texts) or not wanted
    if not unusual:
        assert Spans.of(KEYS, raws) is not None


@given(objects, st.data())
def test_broken_objects_are_never_read_differently(made: dict[str, Any], data: Any) -> None:
    raw = bytearray(orjson.dumps(made, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_INDENT_2))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(raw) - 1))
        what = data.draw(st.sampled_from(["set", "drop", "add"]))
        byte = data.draw(st.sampled_from(b'{}[]",:\\u0D8efalsenrt1-.\x00\x1f \xc3\xa9\xed\xa0'))
        if what == "set":
            raw[place] = byte
        elif what == "drop" and len(raw) > 1:
            del raw[place]
        else:
            raw.insert(place, byte)
    check([bytes(raw)])
    check([b'{"a":1}', bytes(raw), b'{"b":"x"}'])


@given(st.binary(max_size=60))
@example(b"")
@example(b'{"a":1')
@example(b'{"a":"')
@example(b'{"a":"\\')
@example(b'{"a":tru}')
def test_any_bytes_are_refused_or_read_alike(raw: bytes) -> None:
    check([raw])
    check([b'{"a":1}', raw, b'{"a":2}'])


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1,"a":2}', b'{"\\u0061":1}', b'{"a":1e400}', b'{"a":01}', b'{"a":1.}', b'{"a":-}',
        b'{"a":"\\ud800"}', b'{"a":"\\uDFFF"}', b'{"a":"\x01"}', b'{"a":"\\x"}', b'{"a":nul}',
        b'{"a":[1,]}', b'{"a":{"b":1,}}', b'{"a":1}}', b'{"a":1} {', b"[]", b'"a"', b'{"a" 1}',
        b'{"a":[}', b'{"a":{]}', b'{"a":123456789012345678901}', b'{"a":"\xff"}', b'{a:1}',
        b'{"a":' + b"[" * 100 + b"]" * 100 + b"}", b'{"a":"\xed\xa0\x80"}', b'{"a":1,}',
    ],
)  # fmt: skip
def test_what_is_unusual_is_left_to_others(raw: bytes) -> None:
    assert Spans.of(KEYS, [raw]) is None
    assert Spans.of(KEYS, [b'{"a":1}', raw]) is None


@pytest.mark.parametrize(
    "raw",
    [
        b"{}", b" { } ", b'{"a":{}}', b'{"a":[]}', b'{"a":[{},[],[{}]]}', b'{"a":-0.5}',
        b'{"a":"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9"}', b'{"a":null,"b":true,"eventName":false}',
        b'{"zz\\u0061":1,"a":1}', '{"a":"é😀"}'.encode(), b'{"a":' + b"[" * 50 + b"]" * 50 + b"}",
    ],
)  # fmt: skip
def test_what_is_usual_is_accepted(raw: bytes) -> None:
    if b"zz" in raw:
        assert Spans.of(KEYS, [raw]) is None  # an escape in a key, whichever it is
        return
    assert Spans.of(KEYS, [raw]) is not None
    check([raw, raw])


def test_depth_is_bounded() -> None:
    deep = b'{"a":' + b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1) + b"}"
    assert Spans.of(KEYS, [deep]) is None


@given(st.lists(st.dictionaries(st.sampled_from(NAMES), leaves, max_size=4), min_size=1))
def test_alike_rows_are_exactly_those_with_equal_bytes(made: list[dict[str, Any]]) -> None:
    raws = [json.dumps(each).encode() for each in made]
    spans = Spans.of(KEYS, raws)
    if spans is None:
        return
    for keys in (["a"], ["a", "b"], ["a", "b", "eventName"]):
        texts = list(zip(*(spans.texts(key) for key in keys), strict=True))
        alike = spans.alike(*keys)
        seen: dict[Any, int] = {}
        for row, text in enumerate(texts):
            seen.setdefault(text, row)
        assert [seen[text] for text in texts] == alike.firsts[alike.index].tolist()
        some = np.arange(0, len(raws), 2)
        part = spans.among(keys, some)
        for place, row in enumerate(some.tolist()):
            first = int(some[part.firsts[part.index[place]]])
            assert texts[first] == texts[row]


@given(
    st.lists(
        st.fixed_dictionaries(
            {"name": st.text(max_size=4)},
            optional={"who": values, "what": values, "other": values},
        ),
        min_size=1,
        max_size=5,
    )
)
def test_records_look_like_decoded_events(made: list[dict[str, Any]]) -> None:
    fields = frozenset({"who.kind", "who.name.first", "what"})
    decoder = TypedJson({"name": str}, fields, dotted_keys=False)
    raws = [json.dumps(each).encode() for each in made]
    records = decoder.records(raws)
    if records is None:
        return
    for field in ("name", *fields):
        get = decoder.getter(field)
        assert [get(record) for record in records] == [get(decoder.decode(raw)) for raw in raws]


def test_records_refuse_what_the_decoder_refuses() -> None:
    decoder = TypedJson({"name": str}, {"a"}, dotted_keys=False)
    for raw in (b'{"a":1}', b'{"name":1}'):
        records = decoder.records([b'{"name":"x"}', raw])
        assert records is not None
        with pytest.raises(ValueError, match=r"name|str"):
            _ = records[0].name
