import pytest
import re2
from hypothesis import assume, given
from hypothesis import strategies as st

from detectors.engine.witness.literals import required_literal


@pytest.mark.parametrize(
    ("pattern", "literal"),
    [
        ("abc", "abc"),
        (".+:assumed-role/aws:.+", ":assumed-role/aws:"),
        (r"C:\\Temp\\[a-z]+\.exe$", "C:\\Temp\\"),
        ("a|b", ""),
        ("(a|b)cd", "cd"),
        ("ab?cd", "cd"),
        ("ab*", "a"),
        ("ab+c", "ab"),
        ("ab{2}cd", "cd"),
        ("ab{cd", "ab{cd"),
        ("[]a]bc", "bc"),
        ("[^]a]bc", "bc"),
        ("[[:alpha:]]bc", "bc"),
        (r"[\]a]bc", "bc"),
        (r"\x41bc", ""),
        (r"\Qa.b\E", ""),
        (r"\d+abc\b", "abc"),
        ("(?i)abc", "abc"),
        ("(?:ab(cd))ef", "ef"),
        ("über", ""),
        ("", ""),
        ("(", ""),
    ],
)
def test_required_literal(pattern, literal):
    assert required_literal(pattern) == literal


PIECES = st.sampled_from(
    [
        *"abAB",
        *[r"\.", r"\\", r"\d", r"\w", ".", "a*", "b+", "a?", "b{2}", "a{0,2}", "a+?", "b*?"],
        *["(ab)", "(a|b)", "(ab)?", "(?:a(b|a))*", "[ab]", "[^a]", "[]a]", "|", "^", "$", "(?i)"],
    ]
)


@given(st.lists(PIECES, max_size=7).map("".join), st.text("abAB.\\]1", max_size=8))
def test_every_match_contains_the_literal(pattern, text):
    try:
        compiled = re2.compile(pattern)
    except re2.error:
        assume(False)
    if compiled.search(text):
        assert required_literal(pattern).lower() in text.lower()
