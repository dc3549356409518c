"""What becomes of findings from scan to scan."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from detectors.findings import (
    NEW,
    RECURRING,
    REOPENED,
    RESOLVED,
    STATES,
    Known,
    Sighting,
    compare,
    in_ocsf,
)
from schemas.ocsf import validate

UIDS = st.sets(st.sampled_from("abcde"))
GOLDEN = Path(__file__).parents[1] / "connectors" / "golden"


def scan(number: int, uids: set[str]) -> list[Sighting]:
    return [Sighting(uid, f"s{number}", number) for uid in sorted(uids)]


def states(known: dict[str, Known]) -> dict[str, str]:
    return {uid: each.state for uid, each in known.items()}


@given(st.lists(UIDS, max_size=8))
def test_states_are_what_the_history_says(history: list[set[str]]) -> None:
    known: dict[str, Known] = {}
    for number, uids in enumerate(history):
        known = compare(known, scan(number, uids), (f"s{number}", number))

    for uid in set().union(*history):
        at = [number for number, uids in enumerate(history) if uid in uids]
        assert (known[uid].first_seen, known[uid].last_seen) == (at[0], at[-1])
        if at[-1] < len(history) - 1:
            expected = RESOLVED
        elif len(at) == 1:
            expected = NEW
        else:
            expected = RECURRING if at[-2] == at[-1] - 1 else REOPENED
        assert known[uid].state == expected


@given(st.lists(UIDS, min_size=1, max_size=5), st.data())
def test_parts_duplicates_and_order_within_a_scan_do_not_matter(
    history: list[set[str]], data: st.DataObject
) -> None:
    plain: dict[str, Known] = {}
    other: dict[str, Known] = {}
    for number, uids in enumerate(history):
        sightings, whole = scan(number, uids), (f"s{number}", number)
        plain = compare(plain, sightings, whole)
        shuffled = data.draw(st.permutations(sightings * 2))
        cut = data.draw(st.integers(0, len(shuffled)))
        other = compare(other, shuffled[:cut], None)
        other = compare(other, shuffled[cut:], whole)
        other = compare(other, [], whole)
    assert other == plain


def test_a_part_of_a_scan_resolves_nothing() -> None:
    known = compare({}, scan(1, {"a", "b"}), ("s1", 1))

    assert states(compare(known, scan(2, {"a"}), None)) == {"a": RECURRING, "b": NEW}


def test_a_scan_that_comes_late_changes_only_when_something_was_first_seen() -> None:
    known = compare({}, scan(5, {"a"}), ("s5", 5))
    late = compare(known, scan(3, {"a", "b"}), ("s3", 3))

    assert late["a"] == known["a"]._replace(first_seen=3)
    assert late["b"].state == NEW


def test_a_check_that_passes_is_resolved_and_one_that_never_failed_is_no_finding() -> None:
    known = compare({}, scan(1, {"a"}), ("s1", 1))
    passed = [Sighting("a", "s2", 2, passed=True), Sighting("b", "s2", 2, passed=True)]
    known = compare(known, passed, ("s2", 2))

    assert states(known) == {"a": RESOLVED}
    assert states(compare(known, scan(3, {"a"}), ("s3", 3))) == {"a": REOPENED}


def test_every_state_is_valid_ocsf() -> None:
    for path in sorted(GOLDEN.glob("trivy/*.ocsf.json")):
        for event in json.loads(path.read_bytes()):
            if "finding_info" in event:
                for state in STATES:
                    known = Known(state, "s", 1, 2, 3)
                    found = in_ocsf(event, known)
                    assert validate(found) == []
                    assert found["finding_info"]["first_seen_time"] == 1
                    assert (found["activity_id"] == 3) == (state == RESOLVED)
