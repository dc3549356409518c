"""The narrow parser gives what the wide one gives, and has seen every key."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import narrow
from schemas.typed import TypedJson
from sentinel.errors import RecordError

FIELDS = ["id", "a", "b.c", "x.y", "from"]
KEYS = st.sampled_from(["a", "b", "x", "x.y", "from", "other", 'q\\"', "\u00e9", "\n"])
VALUES = st.sampled_from([None, 1, "t", ["l"], {"c": 2}, {"y": [3]}])
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=6)


def decoder() -> TypedJson:
    return TypedJson({"id": str}, FIELDS)


def values(decode: TypedJson, events: list[object]) -> list[list[object]]:
    getters = [decode.getter(field) for field in FIELDS]
    return [[get(event) for get in getters] for event in events]


def alone(raw: bytes) -> list[object]:
    """The values of an event as the first that a decoder meets."""
    fresh = decoder()
    return values(fresh, [fresh.decode(raw)])[0]


@given(st.lists(st.lists(OBJECTS, max_size=4), max_size=5))
def test_what_was_decoded_before_changes_nothing(batches):
    used = decoder()
    for batch in batches:
        raws = [orjson.dumps({"id": "1"} | event) for event in batch]
        expected = list(map(alone, raws))
        assert values(used, used.decode_many(raws)) == expected
        assert values(used, list(map(used.decode, raws))) == expected
        keys = {key for event in batch for key in event}
        assert used.seen is None or keys <= used.seen


@pytest.mark.parametrize("raw", [b"{}", b'{"id": 1}', b"[]", b'{"id": "1"', b'{"id": "1"} x', b""])
def test_a_bad_event_is_refused_and_teaches_nothing(raw):
    used = decoder()
    used.decode(b'{"id": "1", "a": 2}')
    with pytest.raises(RecordError):
        used.decode(raw)
    assert used.seen == {"id", "a"}


def test_keys_without_end_are_parsed_widely(monkeypatch):
    monkeypatch.setattr(narrow, "MOST", 20)
    used = decoder()
    raws = [orjson.dumps({"id": "1", f"key{number}": 1, "a": number}) for number in range(50)]
    assert [event.a for event in map(used.decode, raws)] == list(range(50))
    assert used.seen is None
    assert used.decode(b'{"id": "1", "new": 1, "b": {"c": 5}}').b.c == 5
