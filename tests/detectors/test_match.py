"""Indexed matching equals the plain reference, on random rules and events, whatever happens."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detectors.engine import condition as c
from detectors.engine.condition import LogSource, Rule
from detectors.match import Matcher, dict_getter, event_text

# Few letters, so that literals meet values; among them those that fold in odd ways:
# sharp s, dotted and dotless i, Kelvin sign, sigmas, long s, a ligature, Turkish casing.
LETTERS = "aAbkK\u212a\u00df\u1e9e\u0130\u0131iI\u03c3\u03c2\u03a3\u017fsS\ufb01\\*?.%1 "
TEXT = st.text(LETTERS, max_size=4)
FIELDS = ["f", "g", "a.b", "a.c"]

SCALARS = st.one_of(
    TEXT,
    st.booleans(),
    st.integers(-1, 2),
    st.sampled_from([0.0, 1.0, 0.5, "true", "False", "1", "10.0.0.1", "2026-01-02T03:04:05Z"]),
)
VALUES = st.one_of(
    SCALARS, st.none(), st.lists(st.one_of(SCALARS, st.none()), max_size=3), st.just({"b": "x"})
)


def events() -> st.SearchStrategy[dict[str, Any]]:
    inner = st.dictionaries(st.sampled_from("bc"), VALUES, max_size=2)
    return st.fixed_dictionaries(
        {},
        optional={
            "f": VALUES,
            "g": VALUES,
            "a": st.one_of(inner, st.lists(inner, max_size=2), SCALARS),
            "a.b": VALUES,
        },
    )


def parts() -> st.SearchStrategy[tuple[str, ...]]:
    literal = st.text(LETTERS, min_size=1, max_size=3).map("=".__add__)
    return st.lists(st.one_of(literal, st.sampled_from("*?")), min_size=1, max_size=4).map(tuple)


def leaves() -> st.SearchStrategy[c.Leaf]:
    field = st.one_of(st.sampled_from(FIELDS), st.none())
    named = st.sampled_from(FIELDS)
    regexes = ["a+", "^a.b$", "(?i)k", "[abk]{2}", "1|a", r"\\a", "i?s", r"\*\?"]
    return st.one_of(
        st.builds(
            c.Leaf,
            field,
            st.sampled_from(["exact", "prefix", "suffix", "contains"]),
            TEXT,
            cased=st.booleans(),
        ),
        st.builds(c.Leaf, field, st.just("pattern"), parts=parts(), cased=st.booleans()),
        st.builds(c.Leaf, field, st.just("regex"), st.sampled_from(regexes)),
        st.builds(c.Leaf, named, st.sampled_from(["null", "present"])),
        st.builds(c.Leaf, named, st.just("exists"), flag=st.booleans()),
        st.builds(c.Leaf, named, st.just("cidr"), st.just("10.0.0.0/8")),
        st.builds(
            c.Leaf,
            named,
            st.sampled_from(["lt", "lte", "gt", "gte", "ne", "hour", "week"]),
            number=st.integers(0, 3),
        ),
        st.builds(
            c.Leaf,
            named,
            st.just("fieldref"),
            named,
            st.sampled_from([("", ""), ("*", ""), ("", "*"), ("*", "*")]),
        ),
    )


def nodes() -> st.SearchStrategy[c.Node]:
    return st.recursive(
        leaves(),
        lambda inner: st.one_of(
            inner.map(c.Not),
            st.lists(inner, min_size=1, max_size=4).map(tuple).map(c.All),
            st.lists(inner, min_size=1, max_size=4).map(tuple).map(c.Any),
        ),
        max_leaves=8,
    )


def rule(node: c.Node, rule_id: str = "r") -> Rule:
    return Rule(rule_id, rule_id, "", 3, (), LogSource(), (), (), "selection", node)


def plain_factory(field: str):
    """Like `dict_getter`, but not it: takes the way by column that connectors take."""
    return dict_getter(field)


def ids(found: list[tuple[int, Rule]]) -> list[tuple[int, str]]:
    return [(row, each.id) for row, each in found]


#: Keywords that every text has, and an event without any: a negation of them holds there.
EMPTY_KEYWORDS: list[c.Node] = [
    c.Leaf(None, "exact", ""),
    c.Leaf(None, "prefix", ""),
    c.Leaf(None, "contains", "\ufb01KAK"),
    c.Not(c.Leaf(None, "prefix", "", cased=True)),
]


@settings(max_examples=400, deadline=None)
@example(EMPTY_KEYWORDS, [{}, {"f": ""}, {"f": None}, {"f": []}])
@given(st.lists(nodes(), min_size=1, max_size=8), st.lists(events(), max_size=6))
def test_indexed_equals_brute_force(conditions, batch):
    rules = [rule(node, str(index)) for index, node in enumerate(conditions)]
    for factory in (dict_getter, plain_factory):
        matcher = Matcher(rules, factory)
        expected = ids(matcher.match_brute(batch))
        assert not matcher.errors
        assert ids(matcher.match(batch)) == expected
        assert not matcher.errors
        assert ids(matcher.match(batch)) == expected  # now out of the memos
        one_by_one = [
            (row, each)
            for row, event in enumerate(batch)
            for _, each in ids(matcher.match([event]))
        ]
        assert one_by_one == expected


LITERALS = st.builds(
    c.Leaf,
    st.sampled_from(["f", None]),
    st.sampled_from(["prefix", "suffix", "contains"]),
    st.text("ab", min_size=1, max_size=4),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(LITERALS, min_size=1, max_size=40), st.lists(st.text("abAB\n", max_size=9)))
def test_overlapping_literals_are_all_found(conditions, texts):
    rules = [rule(node, str(index)) for index, node in enumerate(conditions)]
    batch = [{"f": text, "g": ["x", text[::-1]]} for text in texts]
    for factory in (dict_getter, plain_factory):
        matcher = Matcher(rules, factory)
        assert ids(matcher.match(batch)) == ids(matcher.match_brute(batch))


@settings(max_examples=200, deadline=None)
@given(nodes(), events())
def test_an_explanation_names_what_matched(node, event):
    matcher = Matcher([rule(node)], dict_getter)
    matched = bool(matcher.match([event]))
    explanation = matcher.explain(event, matcher.rules[0])
    said = {"description", "references", "condition", "matched", "quiet", "false_positives"}
    assert set(explanation) == said
    if not matched:
        assert explanation["matched"] == []
    for item in explanation["matched"]:
        assert set(item) == {"selection", "field", "modifiers", "pattern", "value"}


class Broken:
    """An event whose field cannot be read."""

    def get(self, field: str) -> Any:
        raise RuntimeError(f"no {field} today")


def test_an_error_in_one_rule_costs_neither_the_event_nor_other_rules():
    def factory(field: str):
        def get(event: dict[str, Any]) -> Any:
            if field == "bad" and event["f"] == "a":
                raise RuntimeError("broken getter")
            return event.get(field)

        return get

    good = rule(c.Leaf("f", "exact", "a"), "good")
    bad = rule(c.All((c.Leaf("f", "exact", "a"), c.Leaf("bad", "exact", "x"))), "bad")
    matcher = Matcher([bad, good], factory)
    batch = [{"f": "a"}, {"f": "b"}, {"f": "a", "bad": "x"}]
    assert ids(matcher.match(batch)) == [(0, "good"), (2, "good")]
    assert [(row, rule_id) for row, rule_id, _ in matcher.errors] == [(0, "bad"), (2, "bad")]
    assert all(isinstance(error, RuntimeError) for _, _, error in matcher.errors)
    assert matcher.match([{"f": "b"}]) == []
    assert matcher.errors == []


def test_an_error_in_an_indexed_field_leaves_no_rule_out():
    def factory(field: str):
        def get(event: dict[str, Any]) -> Any:
            if event[field] is Broken:
                raise RuntimeError("broken getter")
            return event[field]

        return get

    rules = [rule(c.Leaf(name, "exact", "a"), name) for name in "fg"]
    matcher = Matcher(rules, factory)
    assert ids(matcher.match([{"f": Broken, "g": "a"}, {"f": "a", "g": "a"}])) == [
        (0, "g"),
        (1, "f"),
        (1, "g"),
    ]
    assert [(row, rule_id) for row, rule_id, _ in matcher.errors] == [(0, "f")]


def test_a_lone_surrogate_is_one_rules_error():
    node = c.Leaf("f", "regex", "[a-z]")
    matcher = Matcher([rule(node, "regex"), rule(c.Leaf("f", "present"), "any")], dict_getter)
    assert ids(matcher.match([{"f": "\ud800"}])) == [(0, "any")]
    assert [rule_id for _, rule_id, _ in matcher.errors] == ["regex"]


def test_one_and_true_are_two_values():
    rules = [rule(c.Leaf("f", "exact", text), text) for text in ("1", "true", "0", "false")]
    batch = [{"f": value} for value in (1, True, 1.0, 0, False, 0.0, "1", "TRUE")]
    for factory in (dict_getter, plain_factory):
        found = ids(Matcher(rules, factory).match(batch))
        assert [each for _, each in found] == ["1", "true", "1", "0", "false", "0", "1", "true"]


def test_a_condition_too_deep_for_pythons_parser_still_matches():
    node: c.Node = c.All((c.Leaf("f", "exact", "a"), c.Leaf("g", "exact", "b")))
    for _ in range(300):
        node = c.Not(c.Not(node))
    matcher = Matcher([rule(node)], dict_getter)
    assert ids(matcher.match([{"f": "a", "g": "b"}, {"f": "a"}])) == [(0, "r")]


def test_memory_of_memos_is_bounded(monkeypatch):
    monkeypatch.setattr("detectors.engine.codegen.MEMO_ENTRIES", 50)
    rules = [rule(c.Leaf(field, "contains", "x1"), field) for field in "fgh"]
    matcher = Matcher(rules, dict_getter)
    memos = matcher._compiler.memos
    memos.entries = memos.left = 50
    for start in range(0, 1000, 100):
        batch = [{"f": f"x{n}", "g": f"y{n}"} for n in range(start, start + 100)]
        assert ids(matcher.match(batch)) == ids(matcher.match_brute(batch))
        assert sum(map(len, memos.all)) <= 51


@pytest.mark.parametrize(
    ("event", "path", "value"),
    [
        ({"a": {"b": 1}}, "a.b", 1),
        ({"a.b": 2, "a": {"b": 1}}, "a.b", 2),
        ({"a": [{"b": 1}, {"b": [2, 3]}, {"c": 4}, 5]}, "a.b", [1, 2, 3]),
        ({"a": "text"}, "a.b", None),
        ({"a": None}, "a.b", None),
        ({}, "a.b", None),
        (["no", "dict"], "a.b", None),
        (["no", "dict"], "a", None),
    ],
)
def test_dict_getter(event, path, value):
    assert dict_getter(path)(event) == value


def test_keywords_look_at_values_not_at_keys():
    assert event_text({"userName": "bob", "n": [1, {"deep": "x\ny"}], "none": None}) == [
        "bob",
        "1",
        "x\ny",
    ]
    node = c.Leaf(None, "contains", "USERNAME")
    matcher = Matcher([rule(node)], dict_getter)
    assert matcher.match([{"userName": "bob"}]) == []
    assert ids(matcher.match([{"x": "the username"}])) == [(0, "r")]


def test_keywords_without_a_text_are_an_error_not_a_silence():
    matcher = Matcher([rule(c.Leaf(None, "contains", "x"))], lambda field: lambda event: None)
    assert matcher.match([object()]) == []
    assert [type(error) for _, _, error in matcher.errors] == [TypeError]
    texts = Matcher(matcher.rules, dict_getter, text=lambda event: "an X")
    assert ids(texts.match([{}])) == [(0, "r")]
