"""The scanner and `Records` against orjson and the decoder that they stand in for."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.columns import lexicon
from schemas.columns.lexicon import JUDGED, Lexicon, Spans
from schemas.columns.records import FEW_ROWS, Column
from schemas.columns.scan import MAX_DEPTH
from schemas.typed import TypedJson

NAMES = ["a", "b", "eventName", "a long key of more than sixteen bytes", "@timestamp"]
#: Used by all tests, so that they meet values and codes of one another.
LEXICON = Lexicon(NAMES, refused=["a.b"], kept="b")
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


def texts(spans: Spans, key: str) -> list[bytes]:
    place = spans.place.get(key)
    if place is None:
        return [b""] * len(spans.raws)
    return [spans.text(place, row) for row in range(len(spans.raws))]


def check(raws: list[bytes]) -> None:
    """What is accepted is JSON, and every wanted value is where the scanner says."""
    spans = LEXICON.scan(raws)
    if spans is None:
        return
    for name in NAMES:
        for raw, text in zip(raws, texts(spans, name), strict=True):
            found = read(raw)
            assert isinstance(found, dict), raw
            assert (name in found) == bool(text)
            assert not text or read(text) == found[name]
    if "b" in spans.place:
        assert spans.kept is not None
        assert spans.kept.tolist() == texts(spans, "b")


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
        assert LEXICON.scan(raws) is not None


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
    assert LEXICON.scan([raw]) is None
    assert LEXICON.scan([b'{"a":1}', raw]) is None


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
        assert LEXICON.scan([raw]) is None  # an escape in a key, whichever it is
        return
    assert LEXICON.scan([raw]) is not None
    check([raw, raw])


def test_depth_is_bounded() -> None:
    deep = b'{"a":' + b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1) + b"}"
    assert LEXICON.scan([deep]) is None


@given(st.lists(st.dictionaries(st.sampled_from(NAMES), leaves, max_size=4), min_size=1))
def test_equal_codes_are_exactly_equal_bytes_also_of_other_batches(made: list[Any]) -> None:
    raws = [json.dumps(each).encode() for each in made]
    before, spans = LEXICON.scan([b'{"a":1}', *raws]), LEXICON.scan(raws)
    if spans is None or before is None:
        return
    for key in {"a", "eventName"} & spans.place.keys():
        place = spans.place[key]
        codes = spans.codes[place].tolist()
        assert codes == before.codes[place][1:].tolist()
        assert len(set(zip(codes, texts(spans, key), strict=True))) == len(set(codes))
        assert len(set(codes)) == len(set(texts(spans, key)))


@given(st.lists(st.dictionaries(st.sampled_from("abc"), leaves, max_size=3), min_size=1))
def test_alike_rows_are_exactly_those_with_equal_bytes(made: list[dict[str, Any]]) -> None:
    raws = [json.dumps(each).encode() for each in made] * 30
    records = DECODER.records(raws)
    if records is None:
        return
    for keys in (["a"], ["a", "b"], ["a.x", "b", "c"]):
        tops = sorted({key[0] for key in keys})
        whole = list(zip(*(texts(records.spans, key) for key in tops), strict=True))
        for rows in (np.arange(len(raws)), np.arange(1, len(raws), 2)):
            alike = records.alike(keys, rows)
            seen: dict[Any, int] = {}
            for place, row in enumerate(rows.tolist()):
                seen.setdefault(whole[row], place)
            if len(rows) > FEW_ROWS:
                assert [seen[whole[row]] for row in rows.tolist()] == alike.firsts[
                    alike.index
                ].tolist()


DECODER = TypedJson({}, {"a", "a.x", "b", "c"}, dotted_keys=False)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), leaves, max_size=3), min_size=1))
def test_columns_are_what_each_row_gives(made: list[dict[str, Any]]) -> None:
    raws = [json.dumps(each).encode() for each in made]
    records = DECODER.records(raws)
    if records is None:
        return
    for text in (ONE, TWO):
        found = records.strings(text)
        assert [found.at(row) for row in range(len(raws))] == [text.value(e) for e in records]
        assert list(dict.fromkeys(found.index.tolist())) == list(range(len(found.values)))
    assert records.numbers(LENGTH).tolist() == [LENGTH.value(event) for event in records]


ONE = Column(lambda event: repr(event.a)[:3], "a")
TWO = Column(lambda event: f"{event.a} {event.c!r:.1}", "a", "c")
LENGTH = Column(lambda event: len(repr(event.b)), "b", "a", "c")


def test_what_raises_is_not_remembered() -> None:
    """A time that lies in the future may be one that does not, an hour later."""
    known: set[int] = set()

    def value(event: Any) -> int:
        if event.a not in known:
            raise KeyError(event.a)
        return int(event.a)

    column, decoder = Column(value, "a"), TypedJson({}, {"a"}, dotted_keys=False)
    records = decoder.records([b'{"a":7}'])
    assert records is not None
    with pytest.raises(KeyError):
        records.numbers(column)
    known.add(7)
    assert records.numbers(column).tolist() == [7]


def test_all_is_forgotten_when_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fits the limits or not, columns are right; what never fits is left to others."""
    for name, limit in (("VALUES", 64), ("PAIRS", 64), ("ARENA", 500)):
        monkeypatch.setattr(lexicon, name, limit)
    decoder = TypedJson({}, {"a", "b"}, dotted_keys=False)
    column = Column(lambda event: f"{event.a} {event.b}", "a", "b")
    for start in range(0, 2000, 20):
        raws = [b'{"a":%d,"b":"%d"}' % (n % 70, n // 7) for n in range(start, start + 20)]
        records = decoder.records(raws)
        assert records is not None
        found = records.strings(column)
        wanted = [f"{n % 70} {n // 7}" for n in range(start, start + 20)]
        assert [found.at(row) for row in range(20)] == wanted
    assert decoder.records([b'{"a":%d}' % n for n in range(100)]) is None
    assert decoder.records([b'{"a":"%s"}' % (b"x" * 600)]) is None
    assert decoder.records([b'{"a":1}']) is not None


def test_keys_with_ever_new_values_are_left_out() -> None:
    decoder = TypedJson({"a": int}, {"b"}, dotted_keys=False)
    number, text = Column(lambda event: event.a, "a"), Column(lambda event: event.b, "b")
    for start in range(0, 6 * JUDGED, JUDGED // 2):
        rows = range(start, start + JUDGED // 2)
        records = decoder.records([b'{"a":%d,"b":"x"}' % n for n in rows])
        assert records is not None
        assert records.numbers(number).tolist() == list(rows)
        assert records.strings(text).values == ["x"]
    records = decoder.records([b'{"a":1}'])
    assert records is not None
    assert records.codes(["a"]) is None
    assert records.codes(["b"]) is not None
    assert decoder.records([b'{"a":1}', b'{"a":"x"}']) is None


def test_where_needed_keys_are_left_out_nothing_is_scanned_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lexicon, "REST", 3 * JUDGED)
    decoder = TypedJson({}, {"a", "b"}, dotted_keys=False)
    scanned = []
    for start in range(0, 8 * JUDGED, JUDGED):
        raws = [b'{"a":%d,"b":1}' % n for n in range(start, start + JUDGED)]
        scanned.append(decoder.records(raws, needed=["a"]) is not None)
        assert decoder.records([b'{"b":1}'], needed=["b"]) is not None
    assert scanned == [True, False, False, True, False, False, True, False]


def test_a_key_with_dots_is_looked_for_or_refused() -> None:
    event = b'{"a.b":1,"a":{"b":2}}'
    for dotted_keys, accepted in ((True, False), (False, True)):
        decoder = TypedJson({}, {"a.b"}, dotted_keys=dotted_keys)
        assert (decoder.records([event]) is not None) == accepted
        records = decoder.records([event.replace(b".", b"x")])
        assert records is not None
        assert decoder.getter("a.b")(records[0]) == 2


def test_texts_end_to_end() -> None:
    decoder = TypedJson({}, {"id"}, dotted_keys=False)
    for texts, plain in (
        ([b'"a"', '"é"'.encode(), b'"' + b"x" * 900_000 + b'"'], True),
        ([b'"a"', b'"\\u0041"'], False),
        ([b'"a"', b'""'], False),
        ([b'"a"', b"123"], False),
        ([b'"a"', b"null"], False),
    ):
        records = decoder.records([b'{"id":%b,"x":1}' % text for text in texts], kept="id")
        assert records is not None
        found = records.plain_texts()
        assert (found is not None) == plain
        if found is not None:
            assert found.tolist() == [text[1:-1] for text in texts]


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
        assert decoder.records([b'{"name":"x"}', raw]) is None
