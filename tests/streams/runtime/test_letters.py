"""Where a record was is told exactly, and read back exactly."""

from __future__ import annotations

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sentinel.errors import DecodeError
from streams.runtime.letters import MAX_DETAIL, Origin, letter

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
numbers = st.integers(-(2**63), 2**63)


@hypothesis_settings(deadline=None)
@given(names, numbers, numbers, numbers)
def test_an_origin_is_read_back_whatever_the_topic_is_called(topic, partition, offset, unit):
    origin = Origin(topic, partition, offset, unit)
    assert Origin.parse(origin.text.encode()) == origin


@hypothesis_settings(deadline=None)
@given(st.binary(max_size=30))
def test_any_bytes_are_an_origin_or_none(text):
    found = Origin.parse(text)
    assert found is None or isinstance(found.offset, int)


def test_a_letter_says_where_and_why_and_keeps_the_bytes():
    error = DecodeError("json", "expected JSON, " + "x" * 5000)
    made = letter("normalize", b"\x00{", "acme", "auditd", Origin("raw.auditd", 3, 17, 2), error)
    record = made.outgoing()
    assert (record.topic, record.value) == ("dead_letter", b"\x00{")
    said = {name: record.headers[name] for name in ("topic", "partition", "offset", "index")}
    assert said == {"topic": "raw.auditd", "partition": "3", "offset": "17", "index": "2"}
    assert (record.headers["stage"], record.headers["reason"]) == ("normalize", "json")
    assert len(record.headers["detail"]) == MAX_DETAIL
