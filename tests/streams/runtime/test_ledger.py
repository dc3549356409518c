"""The ledger: whatever is lost or doubled shows, whatever is under way does not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sentinel.ledger import COLUMNS, add_up
from streams.runtime.ledger import Ledger

NONE = frozenset[str]()


def rows(*entries):
    """Ledger rows of one tenant and source from (stage, counts)."""
    ledger = Ledger()
    for stage, counts in entries:
        ledger.add(stage, "acme", "cloudtrail", counts)
    return ledger.dump()


def flow(events=10, duplicate=2, dead=1, signals=3):
    """What a sound run leaves: `events` were sent, `dead` of them no events."""
    good = events - dead
    return rows(
        ("normalize", {"in": events, "out": good, "dead_lettered": dead}),
        ("detect", {"in": good, "out": good - duplicate, "duplicate": duplicate,
                    "signalled": signals}),
        ("correlate", {"in": signals, "out": signals}),
        ("persist", {"in": good, "out": good - duplicate, "duplicate": duplicate}),
        ("persist_alerts", {"in": signals, "out": signals}),
        ("dead_letter", {"in": dead, "out": dead}),
    )  # fmt: skip


@hypothesis_settings(deadline=None)
@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_a_sound_run_balances(more, duplicate, dead, signals):
    report = add_up([flow(more + duplicate + dead, duplicate, dead, signals)], NONE)
    assert (report.balance, report.in_flight) == (0, 0)
    assert all(row["difference"] == 0 for row in report.rows)


@hypothesis_settings(deadline=None)
@given(st.integers(0, 5), st.integers(-3, 3).filter(bool))
def test_one_record_too_few_or_too_many_shows(stage, change):
    """Whichever stage swallows or repeats something, the balance is not 0."""
    wrong = flow(events=20)
    wrong[stage]["in"] += change
    assert add_up([wrong], NONE).balance >= abs(change)


def test_partitions_are_added_up():
    """What one partition put out, another took in: only the sum counts."""
    half = [rows(("normalize", {"in": 5, "out": 5})), rows(("normalize", {"in": 1, "out": 1}))]
    rest = rows(("detect", {"in": 6, "out": 6}), ("persist", {"in": 6, "out": 6}))
    assert add_up([*half, rest], NONE).balance == 0


def test_what_a_stage_has_still_to_read_is_in_flight_not_lost():
    sent = rows(("normalize", {"in": 7, "out": 7}), ("persist", {"in": 7, "out": 7}))
    report = add_up([sent], frozenset({"detect"}))
    assert (report.balance, report.in_flight) == (0, 7)
    assert add_up([sent], NONE).balance == 7


def test_more_than_was_sent_is_wrong_even_while_draining():
    sent = rows(("normalize", {"in": 1, "out": 1}), ("detect", {"in": 2, "out": 2}))
    assert add_up([sent], frozenset({"detect", "persist"})).balance == 1


def test_tenants_do_not_make_up_for_each_other():
    ledger = Ledger()
    ledger.add("normalize", "a", "cloudtrail", {"in": 1, "out": 1})
    for stage in ("detect", "persist"):
        ledger.add(stage, "b", "cloudtrail", {"in": 1, "out": 1})
    assert add_up([ledger.dump()], NONE).balance == 4


def test_rows_come_in_the_order_of_the_flow():
    stages = [row["stage"] for row in add_up([flow()[::-1]], NONE).rows]
    assert stages == ["normalize", "detect", "correlate", "persist", "persist_alerts",
                      "dead_letter"]  # fmt: skip


counts = st.dictionaries(st.sampled_from(COLUMNS), st.integers(-5, 1000))
entries = st.lists(
    st.tuples(st.sampled_from(["normalize", "detect"]), st.text(max_size=3), counts), max_size=6
)


@hypothesis_settings(deadline=None)
@given(entries, entries)
def test_what_was_dumped_is_taken_up_and_merging_adds(first, second):
    def ledger(entries):
        made = Ledger()
        for stage, tenant, more in entries:
            made.add(stage, tenant, "s", more)
        return made

    both = ledger(first)
    both.merge(ledger(second))
    loaded = Ledger()
    loaded.load(ledger(first).dump() + ledger(second).dump())
    assert loaded.dump() == both.dump() == ledger(first + second).dump()
