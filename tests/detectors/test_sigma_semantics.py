"""Sigma's semantics as its specification 2.1 states them, from YAML to match."""

import base64

import pytest

from tests.detectors.sigma_rules import load, matches, selection

WIDE = "foo".encode("utf-16le").decode()

YES_AND_NO = [
    # plain values: whole value, without regard to case
    (selection(f="AbC"), {"f": "aBc"}, {"f": "abcd"}),
    (selection(f=["a", "b"]), {"f": "B"}, {"f": "c"}),
    (selection(f="a", g="b"), {"f": "a", "g": "b"}, {"f": "a"}),
    (selection(f=""), {"f": ""}, {}),
    (selection(f=""), {"f": ""}, {"f": "a"}),
    # wildcards and escapes
    (selection(f="a*c"), {"f": "AxxC"}, {"f": "xaxc"}),
    (selection(f="a?c"), {"f": "abc"}, {"f": "ac"}),
    (selection(f="a?c"), {"f": "a\u00dfc"}, {"f": "abbc"}),
    (selection(f=r"a\*c"), {"f": "a*c"}, {"f": "abc"}),
    (selection(f=r"a\?c"), {"f": "a?c"}, {"f": "abc"}),
    (selection(f=r"a\\*"), {"f": r"a\bc"}, {"f": "a*"}),
    (selection(f=r"c:\x*"), {"f": r"C:\Xyz"}, {"f": "c:xyz"}),
    (selection(f="*"), {"f": ""}, {}),
    (selection(f="*a*b*"), {"f": "xaxbx"}, {"f": "xbxa"}),
    (selection(f="*\n?x"), {"f": "a\n\nx"}, {"f": "a\nx"}),
    # numbers, booleans
    (selection(f=5), {"f": 5}, {"f": 50}),
    (selection(f=5), {"f": "5"}, {"f": "5.5"}),
    (selection(f="5"), {"f": 5.0}, {"f": True}),
    (selection(f=1), {"f": 1}, {"f": True}),
    (selection(f=True), {"f": True}, {"f": 1}),
    (selection(f="true"), {"f": True}, {"f": False}),
    (selection(f=False), {"f": "False"}, {"f": None}),
    (selection(f__contains="44"), {"f": 1443}, {"f": 4}),
    # null, exists
    (selection(f=None), {}, {"f": ""}),
    (selection(f=None), {"f": None}, {"f": 0}),
    (selection(f__exists=True), {"f": ""}, {"g": ""}),
    (selection(f__exists=False), {"g": ""}, {"f": ""}),
    # string modifiers
    (selection(f__contains="B"), {"f": "abc"}, {"f": "ac"}),
    (selection(f__startswith="A"), {"f": "abc"}, {"f": "bca"}),
    (selection(f__endswith="C"), {"f": "abc"}, {"f": "cab"}),
    (selection(f__contains="a*c"), {"f": "xabcx"}, {"f": "xcax"}),
    (selection(f__contains__all=["a", "b"]), {"f": "xbxa"}, {"f": "xa"}),
    (selection(f__cased="aB"), {"f": "aB"}, {"f": "ab"}),
    (selection(f__contains__cased="aB"), {"f": "xaBx"}, {"f": "xabx"}),
    (selection(f__cased="a?c"), {"f": "abc"}, {"f": "Abc"}),
    (selection(f__windash__contains=" -f"), {"f": "x /f"}, {"f": "x +f"}),
    (selection(f__windash__contains=" -f"), {"f": "x \u2013f"}, {"f": "x f"}),
    # regular expressions: searched, with regard to case
    (selection(f__re="b.d"), {"f": "abcde"}, {"f": "aBcde"}),
    (selection(f__re="^b"), {"f": "bc"}, {"f": "abc"}),
    (selection(f__re__i="B.D"), {"f": "abcde"}, {"f": "abde"}),
    (selection(f__re__m="^b$"), {"f": "a\nb\nc"}, {"f": "ab"}),
    (selection(f__re__s="a.b"), {"f": "a\nb"}, {"f": "ab"}),
    (selection(f__re="a.b"), {"f": "a-b"}, {"f": "a\nb"}),
    (selection(f__re=["^a$", "^b$"]), {"f": "b"}, {"f": "c"}),
    (selection(f__re=r"\d{2}"), {"f": 123}, {"f": 1}),
    # encodings
    (
        selection(f__base64="foobar"),
        {"f": base64.b64encode(b"foobar").decode()},
        {"f": base64.b64encode(b"foobaz").decode()},
    ),
    (
        selection(f__base64offset__contains="foobar"),
        {"f": base64.b64encode(b"x" + b"foobar" + b"y").decode()},
        {"f": base64.b64encode(b"xfooxbary").decode()},
    ),
    (
        selection(f__wide__base64offset__contains="foobar"),
        {"f": base64.b64encode(b"xy" + "foobar".encode("utf-16le")).decode()},
        {"f": base64.b64encode(b"xyfoobar").decode()},
    ),
    (selection(f__wide="foo"), {"f": WIDE}, {"f": "foo"}),
    # networks
    (selection(f__cidr="10.0.0.0/8"), {"f": "10.1.2.3"}, {"f": "11.1.2.3"}),
    (selection(f__cidr="10.0.0.0/8"), {"f": "::ffff:10.1.2.3"}, {"f": "10.1.2"}),
    (selection(f__cidr="2001:db8::/32"), {"f": "2001:DB8::1"}, {"f": "10.0.0.1"}),
    (selection(f__cidr=["10.0.0.0/8", "fe80::/10"]), {"f": "fe80::1"}, {"f": "AWS Internal"}),
    # numbers compared
    (selection(f__lt=5), {"f": 4.5}, {"f": 5}),
    (selection(f__lte=5), {"f": "5"}, {"f": "5.5"}),
    (selection(f__gt=5), {"f": 6}, {"f": "many"}),
    (selection(f__gte=5), {"f": 5}, {"f": True}),
    (selection(f__neq="a"), {"f": "b"}, {"f": "A"}),
    (selection(f__neq="a"), {}, {"f": "a"}),
    (selection(f__neq=["a", "b"]), {"f": "c"}, {"f": "b"}),
    # other fields, times
    (selection(f__fieldref="g"), {"f": "A", "g": "a"}, {"f": "a", "g": "b"}),
    (selection(f__fieldref="g"), {"f": "a", "g": ["b", "a"]}, {}),
    (selection(f__fieldref__startswith="g"), {"f": "abc", "g": "AB"}, {"f": "ab", "g": "abc"}),
    (selection(f__fieldref__endswith="g"), {"f": "abc", "g": "bc"}, {"f": "abc", "g": "ab"}),
    (selection(f__fieldref__contains="g"), {"f": "abc", "g": "b"}, {"f": "abc", "g": "d"}),
    (selection(f__hour=3), {"f": "2026-01-02T03:04:05Z"}, {"f": "2026-01-02T04:00:00Z"}),
    (selection(f__hour=3), {"f": "2026-01-02T05:04:05+02:00"}, {"f": "no time"}),
    (selection(f__minute=4), {"f": 1767323045}, {"f": 1767323105}),
    (selection(f__day=2), {"f": 1767323045000}, {"f": None}),
    (selection(f__week=1), {"f": "2026-01-02"}, {"f": "2026-01-05"}),
    (selection(f__month=1), {"f": "2026-01-02 03:04:05.678"}, {"f": "2026-02-02"}),
    (selection(f__year=2026), {"f": "2026-01-02"}, {"f": "2025-12-31"}),
    # lists in the event: any element
    (selection(f="a"), {"f": ["b", "A"]}, {"f": ["b", "c"]}),
    (selection(f__contains__all=["a", "b"]), {"f": ["a", "b"]}, {"f": ["a", "c"]}),
    (selection(**{"a.b": "x"}), {"a": {"b": "X"}}, {"a": {"c": "x"}}),
    (selection(**{"a.b": "x"}), {"a": [{"b": "y"}, {"b": "x"}]}, {"a": ["x"]}),
    (selection(f__contains="admin"), {"f": {"policy": "Admin"}}, {"f": {"policy": "user"}}),
    # lists of maps, lists of values
    (
        {"selection": [{"f": "a"}, {"g": "b", "h": "c"}], "condition": "selection"},
        {"g": "b", "h": "c"},
        {"g": "b"},
    ),
    ({"keywords": ["some TEXT", 42], "condition": "keywords"}, {"x": "Some text!"}, {"x": "some"}),
    ({"keywords": ["some*text"], "condition": "keywords"}, {"x": "a some big text"}, {"x": "text"}),
    (
        {"keywords": {"|all": ["a1", "b2"]}, "condition": "keywords"},
        {"x": "a1", "y": "b2"},
        {"x": "a1"},
    ),
    ({"keywords": {"|re": "a[0-9]"}, "condition": "keywords"}, {"x": ["--a7"]}, {"x": "a"}),
]


@pytest.mark.parametrize(("detection", "yes", "no"), YES_AND_NO, ids=lambda each: str(each)[:60])
def test_semantics(tmp_path, detection, yes, no):
    ruleset = load(tmp_path, detection)
    assert matches(ruleset, yes)
    assert not matches(ruleset, no)


SELECTIONS = {"sel_a": {"f": "a"}, "sel_b": {"g": "b"}, "other": {"h": "c"}, "_hidden": {"i": "d"}}


@pytest.mark.parametrize(
    ("condition", "yes", "no"),
    [
        ("sel_a and sel_b", "ab", "a"),
        ("sel_a or sel_b", "b", "c"),
        ("not sel_a", "b", "a"),
        ("sel_a and not (sel_b or other)", "a", "ac"),
        ("not sel_a and not sel_b", "c", "bc"),
        ("1 of sel_*", "b", "c"),
        ("any of sel_*", "b", "c"),
        ("all of sel_*", "ab", "a"),
        ("1 of them", "c", "d"),
        ("all of them", "abc", "ab"),
        ("not 1 of sel_*", "c", "b"),
        ("sel_a and not all of sel_*", "a", "ab"),
        ("not not sel_a", "a", "b"),
        (["sel_a", "sel_b"], "b", "c"),
    ],
)
def test_conditions(tmp_path, condition, yes, no):
    ruleset = load(tmp_path, SELECTIONS | {"condition": condition})
    fields = dict(zip("abcd", "fghi", strict=True))
    assert matches(ruleset, {fields[letter]: letter for letter in yes})
    assert not matches(ruleset, {fields[letter]: letter for letter in no})
