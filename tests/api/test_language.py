"""The search language: what a query means, and errors that point at what is wrong."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.search.language.fields import ALERTS, EVENTS
from api.search.language.nodes import EVERYTHING, And, Equal, Gap, Like, Not, Or, Range, Words
from api.search.language.parse import DEEPEST, LONGEST, MOST, QueryError, parse
from api.search.language.to_elasticsearch import query
from api.search.language.to_sql import Sql

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
DAY = 86_400_000
NOON = 1_769_860_800_000
SEVERITY, TIME, USER = (ALERTS.fields[name] for name in ("severity", "time", "user"))


def test_the_query_that_everyone_writes():
    found = parse("user:alice AND NOT severity:low AND time>now-24h", ALERTS, NOW)
    assert found == And(
        (Words(USER, ("alice",)), Not(Equal(SEVERITY, 2)), Range(TIME, NOON - DAY + 1, None))
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a b c", "a AND b AND c"),
        ("a b OR c d", "(a AND b) OR (c AND d)"),
        ("a OR b c", "a or (b and c)"),
        ("NOT a b", "(NOT a) AND b"),
        ("-a !b", "NOT a && NOT b"),
        ("severity:(high OR critical)", "severity:high || severity:critical"),
        ("severity:(NOT low medium)", "NOT severity:low AND severity:medium"),
        ("severity : high", "severity=HIGH"),
        ("severity!=high", "NOT severity:high"),
        ("severity:>=high", "severity>=high"),
        ("time:[2026-01-30 TO 2026-01-31]", "time>=2026-01-30 time<=2026-01-31"),
        ("time:2026-01-31", "time:[2026-01-31T00:00:00Z TO 2026-02-01T00:00:00Z}"),
        ("time:{2026-01-30 TO *]", "time>2026-01-30"),
        ("time>=now-1d/d", "time>=2026-01-30"),
        ('title:"root logged in"', "title:root-logged-in"),
        ("title:a b", "b title:a"),
        ("title:(a) b", "b title:a"),
        ("count:[1 TO 2] b", "b count:[1 TO 2]"),
        ("count>1 b title:a c", "c title:a b count>1"),
        ("rule_id:x", 'rule:"x"'),
        (r"entity:a\*b", 'entity:"a*b"'),
        ("technique:t1078.004", "technique:T1078.004"),
        ("192.0.2.1", '"192 0 2 1"'),
        ("ORACLE notable android", "oracle Notable ANDROID"),
        ("", "   "),
    ],
)
def test_two_ways_to_write_the_same(one: str, other: str):
    joined = [parse(text, ALERTS, NOW) for text in (one, other)]
    assert sorted(map(str, _parts(joined[0]))) == sorted(map(str, _parts(joined[1])))


def _parts(node):
    node = _flat(node)
    return node.parts if isinstance(node, And) else [node]


def _flat(node):
    """Return a node without levels that mean nothing."""
    if isinstance(node, And | Or):
        parts = []
        for part in map(_flat, node.parts):
            parts += part.parts if type(part) is type(node) else [part]
        return type(node)(tuple(parts))
    if isinstance(node, Range) and node.high is None:
        return Range(node.field, node.low, None, node.with_low)
    bounds = isinstance(node, Range) and node.field is TIME and node.low is not None
    if bounds:  # both sides as two, as comparisons give them
        low = Range(node.field, node.low, None)
        return And((low, Range(node.field, None, node.high, with_high=False)))
    return Not(_flat(node.part)) if isinstance(node, Not) else node


def test_what_is_special_and_what_is_not():
    operation = EVENTS.fields["operation"]
    assert parse("operation:Create*Key?", EVENTS) == Like(
        operation, ("Create", Gap.MANY, "Key", Gap.ONE)
    )
    assert parse('operation:"Create*"', EVENTS) == Equal(operation, "Create*")
    arn = "arn:aws:iam::123456789012:user/ada"
    assert parse(f"entity:{arn}", EVENTS) == Equal(EVENTS.fields["entity"], arn)
    assert parse("entity:or", EVENTS) == Equal(EVENTS.fields["entity"], "or")
    assert parse("", EVENTS) == EVERYTHING


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("sevrity:high", 1, "did you mean severity?"),
        ("a AND foo:1", 7, "there are assignee, count"),
        ("http://x", 1, "quote text that holds a colon"),
        ("severity:hgh", 10, "expected a severity of unknown, informational"),
        ("status:done", 8, "new, triaged, in_progress, resolved"),
        ("time>yesterday", 6, "such as 2026-01-31"),
        ("time>9999-12-31", 6, "in the years 1970 to 9998"),
        ("entity>3", 8, "it has no order"),
        ("entity:[a TO b]", 9, "it has no order"),
        ("count:1.5", 7, "expected a whole number"),
        ("count:99999999999", 7, "expected a whole number"),
        ("score:nan", 7, "expected a number"),
        ("time:2026*", 6, "without * and ?"),
        ("id:x", 4, "expected an id a UUID"),
        ("user:", 6, "expected a value, found the end"),
        ("(a", 3, "expected `)`"),
        ("a)", 2, "expected the end"),
        ('x "abc', 3, "expected a closing"),
        ("a AND", 6, "found the end"),
        ("severity:[low TO", 17, "found the end"),
        ("--", 2, "expected a word of letters or digits"),
        ("a*b:c", 4, "expected"),
        ("x" * (LONGEST + 1), LONGEST, f"at most {LONGEST} characters"),
        ("a " * (MOST + 1), 2 * MOST + 1, f"at most {MOST} terms"),
        ("a\x00", 2, "NUL"),
    ],
)
def test_an_error_names_the_column_and_what_to_do(text: str, column: int, message: str):
    with pytest.raises(QueryError) as caught:
        parse(text, ALERTS, NOW)
    assert (caught.value.column, message in caught.value.message) == (column, True), caught.value


@pytest.mark.parametrize("opening", ["(", "NOT ", "-", "severity:("])
def test_depth_is_bounded(opening: str):
    deep = opening * 300 + "low" + ")" * 300 * ("(" in opening)
    if opening == "(":
        assert parse(deep, ALERTS)  # parentheses alone are no level
        deep = "(a OR " * (DEEPEST + 1) + "a" + ")" * (DEEPEST + 1)
    with pytest.raises(QueryError):
        parse(deep, ALERTS)


def test_an_address_that_is_no_network_is_named():
    with pytest.raises(QueryError, match=r"column 4: src_ip: .*192\.0\.2\.0/24"):
        parse("ip:192.0.2.0/99", EVENTS)


@given(st.text(max_size=60) | st.text('ab:"()[]{}<>=!*?\\-. TORANDNOT', max_size=60))
def test_any_text_is_a_query_or_an_error_within_it(text: str):
    for subject in (ALERTS, EVENTS):
        node, wrong = EVERYTHING, None
        try:
            node = parse(text, subject, NOW)
        except QueryError as error:
            wrong = error
        if wrong:
            assert 1 <= wrong.column <= len(text) + 1
            assert wrong.message
        else:
            sql = Sql(after=2)
            condition = sql.condition(node)
            assert f"${2 + len(sql.args)}" in condition or not sql.args
            query(node)


@given(st.text(min_size=1, max_size=20))
def test_values_never_reach_the_text_of_sql(value: str):
    quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("\x00", "x")
    sql = Sql()
    plain = Sql()
    assert sql.condition(parse(f'entity:"{quoted}"', EVENTS)) == plain.condition(
        parse("entity:x", EVENTS)
    )
    assert sql.args == [value.replace("\x00", "x")]
