"""Putting audit events together: any order, any cut, any restart give the same events."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors._auditd.assembler import MAX_AGE, MAX_BYTES, MAX_OPEN, SLACK, AuditAssembler
from connectors._auditd.event import decode
from connectors.auditd import Auditd
from sentinel.errors import SchemaError
from sentinel.settings import load

LOGS = load().data / "auditd" / "go-libaudit" / "testdata"
needs_libaudit = pytest.mark.skipif(
    not LOGS.is_dir(), reason=f"go-libaudit's logs are not under {LOGS}"
)


def line(kind: str, serial: int, ms: int = 0, body: str = "pid=1", node: str = "") -> bytes:
    """Return a record at `ms` after the start of the log."""
    prefix = f"node={node} " if node else ""
    stamp = f"{1_760_000_000 + ms // 1000}.{ms % 1000:03d}:{serial}"
    return f"{prefix}type={kind} msg=audit({stamp}): {body}".encode()


def run(lines: list[bytes]) -> list[bytes]:
    """Put the lines together in one go."""
    assembler = AuditAssembler()
    return assembler.feed(lines, 0) + assembler.flush()


@st.composite
def events(draw: st.DrawFn) -> list[list[bytes]]:
    """Draw events of one or two hosts, all within the 2 s that an event may stay open."""
    out = []
    for serial in range(draw(st.integers(1, 8))):
        node = draw(st.sampled_from(["", "web1", "db1"]))
        ms = draw(st.integers(0, 1999))
        middle = draw(st.lists(st.sampled_from(["EXECVE", "CWD", "PATH", "SOCKADDR"]), max_size=4))
        end = draw(st.sampled_from([["PROCTITLE"], ["PROCTITLE", "EOE"], ["EOE"], []]))
        kinds = ["SYSCALL", *middle, *end] if draw(st.booleans()) else ["USER_LOGIN"]
        body = [f"item={index} a0=x" for index in range(len(kinds))]
        out.append([line(k, serial, ms, b, node) for k, b in zip(kinds, body, strict=True)])
    return out


def interleave(draw: st.DrawFn, groups: list[list[bytes]]) -> list[bytes]:
    """Mix the groups, keeping the order within each."""
    order = draw(st.permutations([index for index, group in enumerate(groups) for _ in group]))
    rest = [iter(group) for group in groups]
    return [next(rest[index]) for index in order]


def expected(groups: list[list[bytes]]) -> list[bytes]:
    """Return the events: their lines but the end marks."""
    return sorted(b"\n".join(one for one in group if b"type=EOE" not in one) for group in groups)


@given(st.data())
def test_any_interleaving_gives_the_same_events(data: st.DataObject) -> None:
    groups = data.draw(events())
    lines = interleave(data.draw, groups)
    assert sorted(run(lines)) == expected(groups)


@given(st.data())
def test_any_cut_and_any_restart_give_the_same_events_in_the_same_order(
    data: st.DataObject,
) -> None:
    lines = interleave(data.draw, data.draw(events()))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(lines)), max_size=4)))
    assembler, out = AuditAssembler(), []
    for first, last in zip([0, *cuts], [*cuts, len(lines)], strict=True):
        out += assembler.feed(lines[first:last], first)
        state = assembler.snapshot()
        assembler = AuditAssembler()
        assembler.restore(state)
        assert assembler.snapshot() == state
    assert out + assembler.flush() == run(lines)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9000)), max_size=40))
def test_no_record_is_lost_however_far_apart_they_come(records: list[tuple[int, int]]) -> None:
    lines = [
        line("PATH", serial, ms // 1000 * 1000, f"item={index}")
        for index, (serial, ms) in enumerate(records)
    ]
    out = [one for unit in run(lines) for one in unit.split(b"\n") if not one.startswith(b"#")]
    assert sorted(out) == sorted(lines)
    ids = [decode(unit).native_id for unit in run(lines)]
    assert len(set(ids)) == len(ids)


def test_an_event_ends_when_its_host_is_two_seconds_and_some_records_ahead() -> None:
    assembler = AuditAssembler()
    first = line("SYSCALL", 1, 0)
    near = [line("SYSCALL", 2, 1999)] * SLACK
    assert assembler.feed([first, *near], 0) == []
    assert assembler.feed([line("SYSCALL", 9, 5000, node="web1")], 1) == []  # another host
    assert assembler.feed([line("SYSCALL", 3, 2000)], 2) == [first]
    assert assembler.pending() == SLACK + 2


def test_a_record_after_its_event_is_an_event_with_an_id_of_its_own() -> None:
    event = [line("SYSCALL", 1), line("PROCTITLE", 1, body="proctitle=6C73")]
    late = line("PATH", 1, body="item=0")
    out = run([*event, line("EOE", 1), late])
    assert out[0] == b"\n".join(event)
    assert [decode(unit).native_id for unit in out] == [
        ":1760000000.000:1",
        ":1760000000.000:1#1",
    ]
    assert Auditd().to_ocsf(out[1])["unmapped"]["part"] == 1


def test_an_event_delivered_twice_comes_out_twice_the_same() -> None:
    event = [line("SYSCALL", 1), line("PATH", 1), line("PROCTITLE", 1)]
    assert run([*event, *event]) == [b"\n".join(event)] * 2


def test_what_is_no_record_comes_out_as_it_is() -> None:
    assert run([b"hello", line("USER_LOGIN", 1)]) == [b"hello", line("USER_LOGIN", 1)]


def test_a_login_keeps_the_call_that_belongs_to_it() -> None:
    lines = [line(kind, 1) for kind in ("LOGIN", "SYSCALL", "PROCTITLE")]
    assert run(lines) == [b"\n".join(lines)]


def test_state_is_bounded_and_what_is_put_out_for_it_is_counted() -> None:
    assembler = AuditAssembler()
    out = assembler.feed([line("SYSCALL", serial) for serial in range(MAX_OPEN + 5)], 0)
    assert (len(out), assembler.evicted, assembler.pending()) == (5, 5, MAX_OPEN)


def test_an_event_does_not_wait_for_ever_on_a_silent_host() -> None:
    assembler = AuditAssembler()
    assembler.feed([line("SYSCALL", 1, node="quiet")], 0)
    pair = [line("SYSCALL", 2), line("EOE", 2)]
    out = [unit for _ in range(MAX_AGE // 2 + 1) for unit in assembler.feed(pair, 1)]
    assert out.count(line("SYSCALL", 1, node="quiet")) == 1


def test_an_endless_event_is_put_out_in_parts() -> None:
    lines = [line("PATH", 1, body=f"item={index} name={'A' * 60_000}") for index in range(20)]
    out = run(lines)
    assert len(out) == 2
    assert all(len(unit) < MAX_BYTES + 70_000 for unit in out)
    assert [decode(unit).part for unit in out] == [0, 1]


def test_a_snapshot_of_something_else_is_refused() -> None:
    with pytest.raises(SchemaError, match="snapshot of the auditd assembler"):
        AuditAssembler().restore(b"\x93\x01\x02\x03")


@pytest.mark.parametrize(
    ("serials", "lost"),
    [
        ([1, 2, 3], 0),
        ([1, 5, 2, 3, 4], 0),  # out of order
        ([1, 5, 3], 2),
        ([4294967294, 4294967295, 0, 1], 0),  # the counter rolls over
        ([4294967294, 2], 3),
        ([900_000_000, 5, 6], 0),  # a new boot
        ([5, 900_000_000], 0),
    ],
)
def test_missing_serials_are_counted_once_they_cannot_come_any_more(
    serials: list[int], lost: int
) -> None:
    assembler = AuditAssembler()
    assembler.feed([line("USER_LOGIN", serial) for serial in serials], 0)
    assert assembler.lost == 0
    assembler.feed([line("USER_LOGIN", serials[-1], 2000)], 1)
    assert assembler.lost == lost
    copy = AuditAssembler()
    copy.restore(assembler.snapshot())
    assert copy.lost == lost


def test_a_log_read_once_more_loses_nothing() -> None:
    log = [line("USER_LOGIN", serial, serial * 1000) for serial in range(500)]
    assembler = AuditAssembler()
    assembler.feed([*log, *log, line("USER_LOGIN", 500, 500_000)], 0)
    assert assembler.lost == 0


@given(st.sets(st.integers(1, 58), max_size=30), st.integers(0, 2**32 - 1), st.randoms())
def test_lost_is_what_is_missing_between_the_first_and_the_last(
    missing: set[int], start: int, random: Random
) -> None:
    serials = [(start + place) % 2**32 for place in range(60) if place not in missing]
    middle = serials[1:-1]
    random.shuffle(middle)
    assembler = AuditAssembler()
    order = [serials[0], *middle, serials[-1]]
    assembler.feed([line("USER_LOGIN", serial) for serial in order], 0)
    assembler.feed([line("USER_LOGIN", serials[-1], 2000)], 1)
    assert assembler.lost == len(missing)


def libaudit(name: str) -> tuple[list[int], AuditAssembler]:
    """Return the serials of the events in one of go-libaudit's logs, in the order put out."""
    connector, assembler = Auditd(), AuditAssembler()
    lines = list(connector.split(Path(LOGS / name).read_bytes()))
    units = assembler.feed(lines, 0) + assembler.flush()
    assert sum(unit.count(b"\n") + 1 for unit in units) == len(lines)
    return [decode(unit).serial for unit in units], assembler


@needs_libaudit
@pytest.mark.parametrize(
    ("name", "serials"),
    [
        ("normal.log", [58, 59, 60, 61, 62]),
        ("out_of_order.log", [58, 59, 60, 61, 62]),
        ("lost_messages.log", [49, 59, 60, 61, 62]),
        ("rollover.log", [4294967294, 4294967295, 0, 1, 2]),
    ],
)
def test_the_streams_of_libaudit_give_its_events(name: str, serials: list[int]) -> None:
    found, assembler = libaudit(name)
    assert found == serials
    # 50 … 58 are missing in the second: nine, as its reassembler reports
    assert assembler.lost == (9 if name == "lost_messages.log" else 0)


@needs_libaudit
@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_real_log_may_be_mixed_and_cut_at_will(data: st.DataObject) -> None:
    lines = (LOGS / "normal.log").read_bytes().splitlines()[:12]
    groups: dict[bytes, list[bytes]] = {}
    for one in lines:
        groups.setdefault(one[one.index(b"audit(") : one.index(b")")], []).append(one)
    last_two = list(groups.values())[1:]  # within two seconds of each other
    mixed = interleave(data.draw, last_two)
    assert sorted(run(mixed)) == sorted(b"\n".join(group) for group in last_two)
