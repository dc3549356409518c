"""What the search in raw JSON misses is in no value of the event."""

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors._json.decoder import texts
from detectors.engine.values import fold
from detectors.engine.witness.needles import Needles, searchable, unusual

LETTERS = 'aAbB1 :,"\\/\n\t{k\u212a\u00e9'
TEXT = st.text(LETTERS, max_size=8)
SCALARS = TEXT | st.sampled_from([True, None, -11, 1.5, 1e30])
VALUES = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(TEXT, SCALARS, max_size=2)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.dictionaries(TEXT, VALUES, max_size=3), st.booleans()), max_size=4),
    st.lists(st.text(LETTERS, min_size=1, max_size=6), max_size=30),
)
def test_what_is_not_found_is_in_no_value(events, literals):
    raws = [json.dumps(event, ensure_ascii=ascii_only).encode() for event, ascii_only in events]
    sought = [text for text in map(fold, literals) if searchable(text)]
    found = Needles(sought, raws).find(raws)
    odd = unusual(raws)
    for row, raw in enumerate(raws):
        text = fold("\n".join(texts(raw)))
        there = {number for number, literal in enumerate(sought) if literal in text}
        assert row in odd or there <= set(found.get(row, []))


def test_values_are_told_from_keys_and_rows_from_each_other():
    raws = [
        b'{"userName":"root"}',
        b'{"note":"the USERNAME is", "n": 12345}',
        b'{"a":"user","b":"name"}',
    ]
    found = Needles(["username", "root", "12345", "name\\"], raws).find(raws * 300)
    assert found == {row: [[1], [0, 2], []][row % 3] for row in range(900) if row % 3 != 2}


def test_what_json_may_write_in_two_ways_is_unusual():
    raws = [b'{"a":"\\n"}', b'{"a":"\\u0041"}', b'{"a":"\\/"}', '{"a":"\u00e9"}'.encode(), b"{}"]
    assert unusual(raws) == [1, 2, 3]
