import sys
from datetime import UTC, datetime

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from detectors.engine.values import address_of, elements, fold, number_of, text_of, time_of

# sharp s, dotted and dotless i, Kelvin, long s, sigmas, ligatures, iota subscript, theta
ODD = "\u00df\u1e9e\u0130\u0131\u212a\u017f\u03c3\u03c2\u03a3\ufb01"
ODD += "\u0149\u01f0\u0390\u1fb3\u1fbc\u03f4"
TRICKY = st.text(st.one_of(st.characters(), st.sampled_from(ODD)), max_size=12)


def test_every_character_folds_to_one_as_unicode_says():
    for char in map(chr, range(sys.maxunicode + 1)):
        folded = fold(char)
        assert len(folded) == 1
        assert len(char.casefold()) > 1 or folded == char.casefold()


@given(TRICKY, TRICKY, TRICKY)
def test_folding_commutes_with_cutting_and_joining(before, part, after):
    whole = fold(before + part + after)
    assert whole == fold(before) + fold(part) + fold(after)
    assert len(whole) == len(before + part + after)
    assert fold(whole) == whole


@given(TRICKY)
def test_folding_ignores_case_as_far_as_case_is_one_character(text):
    for other in (text.upper(), text.lower(), text.swapcase()):
        if all(len(c.upper()) == len(c.lower()) == 1 for c in text):
            same = [fold(a) == fold(b) for a, b in zip(text, other, strict=True)]
            assert all(same) or any(c in "\u0131\u0130\u00b5\u017f" for c in text)


@given(
    st.characters(exclude_categories=["Cs", "Cc"]),
    st.sampled_from("abkKsS\u03c3\u03a3\u00df\u00e9\u00c5"),
)
def test_folding_agrees_with_re2(char, letter):
    matches = re2.fullmatch(f"(?i){re2.escape(letter)}", char) is not None
    assert matches == (fold(char) == fold(letter))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("aB", "aB"),
        (True, "true"),
        (False, "false"),
        (5, "5"),
        (5.0, "5"),
        (0.5, "0.5"),
        (1e300, str(int(1e300))),
        (float("inf"), "inf"),
        ({"a": [1, "ü"]}, '{"a":[1,"ü"]}'),
    ],
)
def test_text_of(value, text):
    assert text_of(value) == text


@pytest.mark.parametrize(
    ("value", "found"),
    [(None, []), ("a", ["a"]), ([], []), ([1, [2, None, [3]]], [1, 2, 3]), (0, [0])],
)
def test_elements(value, found):
    assert list(elements(value)) == found


def test_elements_of_a_list_nested_deeper_than_the_stack():
    value: list = ["x"]
    for _ in range(100_000):
        value = [value]
    assert list(elements(value)) == ["x"]


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, 5),
        (2**70, 2**70),
        ("5", 5),
        ("-5.5", -5.5),
        ("1e3", 1000.0),
        ("9007199254740993", 9007199254740993),
        (True, None),
        ("nan", None),
        ("1_000", None),
        ("five5", None),
        ("", None),
        (None, None),
    ],
)
def test_number_of(value, number):
    assert number_of(value) == number


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("10.0.0.1", "10.0.0.1"),
        (" 2001:DB8::1 ", "2001:db8::1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("ec2.amazonaws.com", None),
        ("10.0.0.256", None),
        (167772161, None),
    ],
)
def test_address_of(value, address):
    found = address_of(value)
    assert (found and str(found)) == address


MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-02T03:04:05Z",
        "2026-01-02 03:04:05",
        "2026-01-02T05:04:05+02:00",
        1767323045,
        "1767323045",
        1767323045_000,
        1767323045_000_000,
        1767323045_000_000_000,
    ],
)
def test_time_of(value):
    assert time_of(value) == MOMENT


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.booleans()))
def test_readers_of_values_never_fail(value):
    time_of(value)
    number_of(value)
    address_of(value)
    if value is not None:
        text_of(value)
