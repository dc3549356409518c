"""Typed decoding sees exactly what plain decoding and walking would see."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.typed import TypedJson, walk
from sentinel.errors import DecodeError, MappingError, RecordError

KEYS = st.sampled_from(["a", "b", "c", "a.b", "b.c", "A", "class", "_x", "é", "", "x-y", "a b"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text('aé\U0001f600\n"\\\x7f', max_size=5)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=6)
PATHS = st.lists(st.lists(KEYS, min_size=1, max_size=4).map(".".join), min_size=1, max_size=5)

#: Compiling structs takes its time, more so on a busy machine.
slow = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def naive(document, path):
    """Literal key at the top first, else walk."""
    value = document.get(path)
    return walk(document, path.split(".")) if value is None else value


@slow
@given(DOCUMENTS, PATHS)
def test_getter_equals_walking_the_plain_document(document, paths):
    typed = TypedJson({}, paths)
    raw = json.dumps(document).encode()
    record = typed.decode(raw)
    for path in paths:
        assert typed.getter(path)(record) == naive(json.loads(raw), path)


@slow
@given(DOCUMENTS, PATHS)
def test_unescaped_text_decodes_the_same(document, paths):
    typed = TypedJson({}, paths)
    record = typed.decode(json.dumps(document, ensure_ascii=False).encode())
    for path in paths:
        assert typed.getter(path)(record) == naive(document, path)


@slow
@given(st.binary(max_size=60) | DOCUMENTS.map(lambda d: json.dumps(d).encode()[:-1]))
def test_any_bytes_give_a_record_or_a_record_error(raw):
    typed = TypedJson({"a": str, "b.c": int}, ["b", "c.d"])
    reason = None
    try:
        typed.decode(raw)
    except RecordError as error:
        reason = error.reason
    assert reason in {None, "json", "utf8", "nul", "depth", "missing_field", "wrong_type"}


@slow
@given(st.lists(DOCUMENTS | st.binary(max_size=20), max_size=4))
def test_decoding_many_is_decoding_each(documents):
    typed = TypedJson({}, ["a.b", "é", "c"])
    raws = [d if isinstance(d, bytes) else json.dumps(d).encode() for d in documents]
    raws = [raw for raw in raws if is_decodable(typed, raw)]
    assert typed.decode_many(raws) == [typed.decode(raw) for raw in raws]


def is_decodable(typed, raw):
    try:
        typed.decode(raw)
    except RecordError:
        return False
    return True


@pytest.mark.parametrize("bad", [b'{"x": "\0"}', b'{"x": "\xff"}', b'{"x"', b"[]", b"{}"])
def test_decoding_many_refuses_what_decoding_one_refuses(bad):
    typed = TypedJson({"id": str}, [])
    with pytest.raises((ValueError, RecordError)):
        typed.decode_many([b'{"id": "1"}', bad])


POISON = {
    "truncated": (b'{"id": "1", "a": {"b"', "json"),
    "empty": (b"", "json"),
    "two": (b'{"id": "1"} {"id": "2"}', "json"),
    "nul": (b'{"id": "1", "skipped": "\0"}', "nul"),
    "utf8": (b'{"id": "1", "skipped": "\xff"}', "utf8"),
    "depth, skipped": (b'{"id": "1", "skipped": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "depth"),
    "depth, wanted": (b'{"id": "1", "whole": ' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001, "depth"),
}


@pytest.mark.parametrize(("raw", "reason"), POISON.values(), ids=POISON)
def test_poison_is_a_decode_error_that_says_why(raw, reason):
    with pytest.raises(DecodeError) as caught:
        TypedJson({"id": str}, ["a.b", "whole"]).decode(raw)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"{}", "missing_field"),
        (b'{"id": 5}', "wrong_type"),
        (b'{"id": null}', "wrong_type"),
        (b'["id"]', "wrong_type"),
        (b'{"id": "1"}', "missing_field"),
        (b'{"id": "1", "who": {}}', "missing_field"),
        (b'{"id": "1", "who": "me"}', "wrong_type"),
        (b'{"id": "1", "who": {"name": [1]}}', "wrong_type"),
    ],
)
def test_what_is_required_must_be_there_and_fit(raw, reason):
    with pytest.raises(MappingError) as caught:
        TypedJson({"id": str, "who.name": str}, ["who.age"]).decode(raw)
    assert caught.value.reason == reason
    assert caught.value.detail


def test_required_holds_also_below_a_field_wanted_whole():
    typed = TypedJson({"who.name": str}, ["who"])
    record = typed.decode(b'{"who": {"name": "x", "n": 1}}')
    assert typed.getter("who")(record) == {"name": "x", "n": 1}
    for raw in (b'{"who": {"name": 1}}', b'{"who": {}}', b'{"who": 1}', b"{}"):
        with pytest.raises(MappingError):
            typed.decode(raw)


def test_ten_megabytes_are_decoded():
    typed = TypedJson({"id": str}, ["a.b"])
    raw = b'{"id": "1", "pad": "' + b"x" * 10_000_000 + b'", "a": {"b": 2}}'
    assert typed.getter("a.b")(typed.decode(raw)) == 2


def test_optional_fields_of_any_type_never_fail_a_record():
    typed = TypedJson({}, ["p.q"])
    for value in ("null", '"s"', "1", "1.5", "true", "[]", "[[1]]", "[null]", "{}"):
        assert typed.getter("p.q")(typed.decode(b'{"p": %b}' % value.encode())) is None


def test_keys_with_dots_are_left_out_on_request():
    raw = b'{"a.b": 1, "a": {"b": 2}}'
    for dotted_keys, expected in ((True, 1), (False, 2)):
        typed = TypedJson({}, ["a.b"], dotted_keys=dotted_keys)
        assert typed.getter("a.b")(typed.decode(raw)) == expected


def test_undeclared_field_is_a_mistake_of_the_caller():
    with pytest.raises(KeyError, match="missing"):
        TypedJson({}, ["a"]).getter("missing")


def paths_of(value, prefix=""):
    """Yield every dotted path in a document, through lists too."""
    if isinstance(value, list):
        for item in value:
            yield from paths_of(item, prefix)
    elif isinstance(value, dict):
        for key, below in value.items():
            yield prefix + key
            yield from paths_of(below, f"{prefix}{key}.")


def test_every_field_of_real_cloudtrail_is_seen_as_plain_json_shows_it(data):
    files = sorted((data / "cloudtrail_stratus").rglob("*.json"))[:8]
    events = [event for file in files for event in json.loads(file.read_bytes())][:150]
    assert events
    leaves = {path for event in events for path in paths_of(event)}
    leaves -= {path.rpartition(".")[0] for path in leaves}  # as rules use them: the ends
    typed = TypedJson({"eventID": str, "eventName": str}, leaves)
    getters = [(path, typed.getter(path)) for path in sorted(leaves)]
    for event in events:
        record = typed.decode(json.dumps(event).encode())
        for path, get in getters:
            assert get(record) == naive(event, path), path
