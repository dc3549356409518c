"""The commit logic: whatever happens, nothing is committed past an unacknowledged record."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streams.transport.offsets import Lease, OffsetLedger

TP = ("raw.cloudtrail", 0)
OTHER = ("raw.auditd", 3)


def ledger_with(*batches: tuple[int, int]) -> tuple[OffsetLedger, Lease]:
    ledger = OffsetLedger()
    lease = ledger.open(TP, start=batches[0][0])
    for first, last in batches:
        assert ledger.take(lease, first, last)
    return ledger, lease


def test_nothing_is_committable_before_an_acknowledgement():
    ledger, _ = ledger_with((10, 19))
    assert ledger.committable(TP) is None


def test_out_of_order_acknowledgements_commit_only_the_contiguous_prefix():
    ledger, lease = ledger_with((10, 19), (20, 29), (30, 39))
    assert ledger.ack(lease, 30)
    assert ledger.committable(TP) is None
    assert ledger.ack(lease, 10)
    assert ledger.committable(TP) == 20
    assert ledger.ack(lease, 20)
    assert ledger.committable(TP) == 40
    assert lease.pending == 0


def test_holes_in_the_offsets_do_not_hold_commits_back():
    ledger, lease = ledger_with((10, 12), (50, 51))
    ledger.ack(lease, 10)
    ledger.ack(lease, 50)
    assert ledger.committable(TP) == 52


def test_a_commit_that_succeeded_is_not_repeated_and_one_that_failed_is():
    ledger, lease = ledger_with((0, 4))
    ledger.ack(lease, 0)
    assert ledger.committable(TP) == 5
    assert ledger.committable(TP) == 5
    ledger.committed(lease, 5)
    assert ledger.committable(TP) is None


def test_an_acknowledgement_counts_once():
    ledger, lease = ledger_with((0, 4), (5, 9))
    assert ledger.ack(lease, 0)
    assert not ledger.ack(lease, 0)
    assert not ledger.ack(lease, 7)
    assert ledger.committable(TP) == 5


def test_a_lease_being_revoked_takes_nothing_more_but_still_counts_acknowledgements():
    ledger, lease = ledger_with((0, 4))
    ledger.shut(TP)
    assert not ledger.take(lease, 5, 9)
    assert ledger.ack(lease, 0)
    assert ledger.committable(TP) == 5


def test_acknowledgements_of_an_ended_lease_are_ignored():
    ledger, stale = ledger_with((0, 4))
    ledger.end(TP)
    assert not ledger.ack(stale, 0)
    assert ledger.committable(TP) is None
    fresh = ledger.open(TP, start=0)
    assert ledger.take(fresh, 0, 2)
    assert not ledger.ack(stale, 0)
    assert ledger.committable(TP) is None
    ledger.committed(stale, 5)
    assert fresh.committed is None


def test_opening_again_ends_the_lease_before():
    ledger, stale = ledger_with((0, 4))
    fresh = ledger.open(TP, start=2)
    assert not stale.live
    assert not ledger.take(stale, 5, 9)
    assert not ledger.ack(stale, 0)
    assert ledger.get(TP) is fresh


def test_partitions_do_not_influence_one_another():
    ledger, lease = ledger_with((0, 4))
    other = ledger.open(OTHER)
    ledger.take(other, 100, 100)
    ledger.ack(other, 100)
    assert ledger.committable(TP) is None
    assert ledger.committable(OTHER) == 101
    ledger.end(OTHER)
    assert [held.tp for held in ledger.owned()] == [TP]
    assert ledger.ack(lease, 0)


@pytest.mark.parametrize(("first", "last"), [(4, 9), (0, 4), (9, 8)])
def test_batches_must_be_taken_in_offset_order(first: int, last: int):
    ledger, lease = ledger_with((0, 4))
    with pytest.raises(ValueError, match="in offset order"):
        ledger.take(lease, first, last)


def test_the_position_is_the_start_until_something_is_acknowledged():
    ledger, lease = ledger_with((7, 9))
    assert lease.position == 7
    ledger.ack(lease, 7)
    assert lease.position == 10


@dataclass
class Delivery:
    """A batch the simulated agent holds."""

    lease: Lease
    first: int
    last: int
    acked: bool = False


@dataclass
class Log:
    """A partition at the broker: the offsets that exist, and what was committed."""

    offsets: list[int] = field(default_factory=list)
    end: int = 0
    committed: int = 0
    handled: set[int] = field(default_factory=set)

    def unhandled(self) -> int:
        """Return the first record that neither an agent nor a checkpoint accounts for."""
        return next((o for o in self.offsets if o not in self.handled), self.end)


class CommitMachine(RuleBasedStateMachine):
    """Any order of deliveries, acknowledgements, commits, revocations, seeks and crashes."""

    def __init__(self) -> None:
        super().__init__()
        self.logs = {TP: Log([0, 1, 2, 5, 6, 9], 10), OTHER: Log([3, 4], 5)}
        self.read: dict[tuple[str, int], int] = {}
        self.restart()

    def restart(self) -> None:
        self.ledger = OffsetLedger()
        self.deliveries: list[Delivery] = []
        self.read.clear()

    tps = st.sampled_from([TP, OTHER])

    @rule(tp=tps, gaps=st.lists(st.integers(0, 3), min_size=1, max_size=6))
    def produce(self, tp: tuple[str, int], gaps: list[int]) -> None:
        log = self.logs[tp]
        for gap in gaps:
            log.offsets.append(log.end + gap)
            log.end += gap + 1

    @rule(tp=tps, count=st.integers(1, 4), late=st.booleans())
    def deliver(self, tp: tuple[str, int], count: int, late: bool) -> None:
        lease = self.ledger.get(tp)
        if lease is None or not (lease.open or late):  # assigned now
            lease = self.ledger.open(tp, self.logs[tp].committed)
            self.read[tp] = self.logs[tp].committed
        batch = [o for o in self.logs[tp].offsets if o >= self.read[tp]][:count]
        if batch and self.ledger.take(lease, batch[0], batch[-1]):
            self.read[tp] = batch[-1] + 1
            self.deliveries.append(Delivery(lease, batch[0], batch[-1]))

    @precondition(lambda self: self.deliveries)
    @rule(data=st.data(), stale=st.booleans())
    def acknowledge(self, data: st.DataObject, stale: bool) -> None:
        pending = [d for d in self.deliveries if not d.acked and (stale or d.lease.live)]
        if not pending:
            return
        delivery = data.draw(st.sampled_from(pending))
        if self.ledger.ack(delivery.lease, delivery.first):
            delivery.acked = True
            log = self.logs[delivery.lease.tp]
            log.handled.update(range(delivery.first, delivery.last + 1))

    @rule(tp=tps, stored=st.booleans(), told=st.booleans())
    def commit(self, tp: tuple[str, int], stored: bool, told: bool) -> None:
        # The broker may store it and the answer be lost; then it is committed again.
        offset, lease = self.ledger.committable(tp), self.ledger.get(tp)
        if offset is not None and lease is not None and stored:
            self.logs[tp].committed = offset
            if told:
                self.ledger.committed(lease, offset)

    # One rule for all that interrupts, so that whole deliveries come about in between.
    @rule(tp=tps, kind=st.sampled_from(["shut", "revoke", "seek", "crash"]), data=st.data())
    def disturb(self, tp: tuple[str, int], kind: str, data: st.DataObject) -> None:
        if kind == "shut":
            self.ledger.shut(tp)
        elif kind == "revoke":
            self.ledger.end(tp)
        elif kind == "crash":
            self.restart()
        else:
            # A checkpoint says that everything before it is handled; that is the stage's word.
            log = self.logs[tp]
            offset = data.draw(st.integers(0, log.end))
            log.handled.update(o for o in log.offsets if o < offset)
            self.ledger.open(tp, offset)
            self.read[tp] = offset

    @invariant()
    def nothing_is_committed_past_an_unacknowledged_record(self) -> None:
        for tp, log in self.logs.items():
            assert log.committed <= log.unhandled()
            assert (self.ledger.committable(tp) or 0) <= log.unhandled()

    @invariant()
    def all_that_the_agent_finished_is_committable(self) -> None:
        for lease in self.ledger.owned():
            mine = [d for d in self.deliveries if d.lease is lease]
            if mine and lease.pending == 0:
                assert lease.position == mine[-1].last + 1
                assert self.ledger.committable(lease.tp) in (None, lease.position)


TestCommits = CommitMachine.TestCase
TestCommits.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
