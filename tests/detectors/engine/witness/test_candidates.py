"""Candidates are all the rules that match, whatever the events of before were like."""

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.cloudtrail import MANY, CloudTrail
from detectors.engine import condition as c
from detectors.engine.condition import LogSource, Rule
from detectors.sigma import RuleSet

FIELDS = ["eventName", "userAgent", "requestParameters.a", "requestParameters.b", "errorCode", None]
WORDS = ["Look", "look at", "Take", "x", "needle", "true", ""]
PATTERNS = ["^L", "o+k", "[a-z]x?$", r"\d", "^$", "(at)? it", "(?i)LOOK A", "^(?:L?o?){9}k", "é"]
LEAVES = st.one_of(
    st.builds(
        c.Leaf,
        st.sampled_from(FIELDS),
        st.sampled_from(["exact", "prefix", "suffix", "contains"]),
        st.sampled_from(WORDS),
    ),
    st.builds(c.Leaf, st.sampled_from(FIELDS), st.just("regex"), st.sampled_from(PATTERNS)),
)
NODES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.map(c.Not),
        st.lists(inner, min_size=1, max_size=3).map(tuple).map(c.All),
        st.lists(inner, min_size=1, max_size=3).map(tuple).map(c.Any),
    ),
    max_leaves=5,
)
VALUES = st.sampled_from(
    ["Look", "Look at it", "x", "no \u212aind", "a \\ needle", None, True, ["x"]]
)
EVENTS = st.fixed_dictionaries(
    {"eventName": st.sampled_from(["Look", "Take", "Taken"])},
    optional={
        "userAgent": VALUES,
        "errorCode": VALUES,
        "requestParameters": st.dictionaries(st.sampled_from("abc"), VALUES, max_size=2),
    },
)


def raw(event: dict[str, object], number: int) -> bytes:
    fixed = {"eventSource": "ec2.amazonaws.com", "eventTime": "2026-01-05T08:00:00Z"}
    return orjson.dumps(fixed | event | {"eventID": f"id-{number}"})


@settings(max_examples=30, deadline=None)
@given(
    st.lists(NODES, min_size=1, max_size=5),
    st.lists(st.lists(EVENTS, min_size=1, max_size=6), min_size=1, max_size=4),
    st.booleans(),
)
def test_matches_do_not_hang_on_the_batches(conditions, batches, unique):
    rules = RuleSet(
        Rule(str(number), "", "", 3, (), LogSource(), (), (), "", node)
        for number, node in enumerate(conditions)
    )
    connector = CloudTrail()
    decoder = connector.decoder(frozenset().union(*(rule.fields for rule in rules.rules)))
    matcher = rules.reading(decoder)
    for kinds in batches:
        for size in (len(kinds), 150, MANY + 7):
            events = [kinds[number % len(kinds)] for number in range(size)]
            if unique:  # no value comes again
                events = [
                    event | {"userAgent": f"{event.get('userAgent')}{number}"}
                    for number, event in enumerate(events)
                ]
            raws = [raw(event, number) for number, event in enumerate(events)]
            decoded = connector.decode_all(decoder, raws)
            found = [(row, rule.id) for row, rule in matcher.match(decoded)]
            assert not matcher.errors
            few = range(len(kinds))
            plain = [decoder.decode(raws[row]) for row in few]
            expected = [(row, rule.id) for row, rule in matcher.match_brute(plain)]
            assert [each for each in found if each[0] in few] == expected
            assert unique or found == sorted(
                (row, rule) for first, rule in expected for row in range(first, size, len(kinds))
            )
