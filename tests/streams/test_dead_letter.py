"""Dead letters become rows, also those that are not ours."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sentinel.errors import DecodeError
from streams.dead_letter import PREVIEW, DeadLetterStage
from streams.runtime.letters import Origin, letter
from streams.sinks.base import Written


def task():
    return DeadLetterStage().task("dead_letter", 0)


def test_a_letter_becomes_the_row_of_its_origin(records):
    error = DecodeError("json", "expected JSON, found '{'")
    made = letter("normalize", b"x" * 9000, "acme", "auditd", Origin("raw.auditd", 3, 17, 2), error)
    headers = [[(name, text.encode()) for name, text in made.headers.items()]]
    batch = records([made.value], "dead_letter", 1, first=40, headers=headers)
    (row,) = task().process(batch).rows.dead_letters
    assert row[:7] == ("dead_letter", 1, 40, "raw.auditd", 3, 17, 2)
    assert row[7:12] == ("normalize", "json", "expected JSON, found '{'", "acme", "auditd")
    assert (row.size, len(row.value)) == (9000, PREVIEW)


names = st.sampled_from(["partition", "offset", "index", "time", "topic", "reason", "tenant"])
strange = st.lists(st.tuples(names, st.binary(max_size=8) | st.none()), max_size=5)


@hypothesis_settings(deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=9) | st.none(), strange | st.none()), min_size=1))
def test_anything_in_the_topic_becomes_a_row(records, found):
    """Anyone may write there: headers may be missing, doubled, or no numbers."""
    batch = records([value for value, _ in found], "dead_letter", headers=[h for _, h in found])
    rows = task().process(batch).rows.dead_letters
    assert [row.offset for row in rows] == batch.offsets
    assert [row.value for row in rows] == [value or b"" for value, _ in found]


def test_only_letters_that_are_new_count(records):
    """A stage that crashed sends its letters again: they are the same rows."""
    output = task().process(records([b"a", b"b"], "dead_letter"))
    counted = output.counts(Written(dead_letters=Counter({("acme", "auditd"): 1})))
    assert counted.dump() == [
        {"stage": "dead_letter", "tenant": "acme", "source": "auditd", "in": 1, "out": 1}
    ]
