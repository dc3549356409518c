"""Patterns searched for together leave possible what each of them by itself does."""

from hypothesis import example, given
from hypothesis import strategies as st

from detectors.engine import condition as c
from detectors.engine.leaves import leaf_test
from detectors.engine.witness.patterns import Patterns

PATTERNS = [
    "^a+$", "(a|aa)+$", r"\d", "", "^$", "x|y", "(?i)K", "(?s)a.b", "a.b", r"\bé", "[^a]", r"b\z",
    "^(?:a?){30}a{30}$", "(.*a){12}$", "a.{18}b", ".{20}",
]  # fmt: skip
EVERYTHING = (1 << 20) - 1
SCALARS = st.one_of(
    st.text("aAbkxyé1 \n\u212a", max_size=50), st.none(), st.booleans(), st.integers()
)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3), st.just({"a": 1}))


def expected(patterns: list[str], value: object) -> int:
    found = EVERYTHING & ~((1 << len(patterns)) - 1)
    for number, pattern in enumerate(patterns):
        found |= leaf_test(c.Leaf("a", "regex", pattern))(value) << number
    return found


@given(st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=20), st.lists(VALUES, max_size=5))
@example(PATTERNS, ["a" * 500 + "!", "a" * 45, "a1b" * 100, "é"])
def test_together_they_leave_what_each_leaves(patterns, values):
    together = Patterns(((each, number) for number, each in enumerate(patterns)), EVERYTHING)
    assert together.asked == (1 << len(patterns)) - 1
    assert together.absent == EVERYTHING & ~together.asked
    assert [together.possible(value) for value in values] == [
        expected(patterns, value) for value in values
    ]
    texts = [value for value in values if isinstance(value, str)]
    assert together.possible_each(texts) == [expected(patterns, text) for text in texts]


def test_what_needs_too_big_an_automaton_rules_nothing_out():
    big = "(a.{300}){3}b"
    together = Patterns([("x", 0), (big, 1), (big, 2), ("y", 2)], 0b1111)
    assert together.asked == 0b0001
    assert together.possible("no") == 0b1110
    assert together.possible("ax") == 0b1111
    assert Patterns([(big, 0)], 0b11).possible("no") == 0b11


def test_many_patterns_are_all_told_apart():
    patterns = [f"{number % 10}[ab]{{{number}}}c" for number in range(1, 200)]
    together = Patterns(((each, number) for number, each in enumerate(patterns)), (1 << 199) - 1)
    for number in (1, 77, 199):
        assert (
            together.possible(f"{number % 10}{'ab' * 100}"[: number + 1] + "c") == 1 << number - 1
        )
