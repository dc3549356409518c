"""Tail: every line once, whatever happens to the files between two looks."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors._reading.base import DeniedError, Record
from connectors._reading.lines import MAX_LINE
from connectors._reading.tailing import reader as tailing
from connectors._reading.tailing.reader import TailReader, TailSettings
from connectors.auditd import Auditd

HOUR = 3600


class Tail:
    """A reader that is made anew for each look, as after a crash; its position as JSON."""

    def __init__(self, *paths: Path, **more: Any) -> None:
        self.settings = TailSettings(paths=[str(path) for path in paths], **more)
        self.position: str = "null"
        self.records: list[Record] = []
        self.skipped: dict[str, int] = {}

    def look(self) -> list[str]:
        """Read what there is; return the lines."""
        found: list[Record] = []
        reader = TailReader(self.settings, Auditd())
        for page in reader.read(json.loads(self.position)):
            found += page.records
            self.position = json.dumps(page.position)
            for reason, count in page.skipped.items():
                self.skipped[reason] = self.skipped.get(reason, 0) + count
        reader.close()
        self.records += found
        return [record.value.decode() for record in found]


def lines(start: int, end: int) -> str:
    return "".join(f"line {number}\n" for number in range(start, end))


def names(start: int, end: int) -> list[str]:
    return lines(start, end).splitlines()


def age(path: Path, seconds: float) -> None:
    """Let the last change of a file be `seconds` ago."""
    state = path.stat()
    when = state.st_mtime_ns - int(seconds * 1e9)
    os.utime(path, ns=(when, when))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "audit.log"
    path.write_text(lines(0, 5))
    return path


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_a_line_is_read_once_and_only_when_it_has_ended(log: Path) -> None:
    tail = Tail(log)
    append(log, "half a")
    assert tail.look() == names(0, 5)
    assert tail.look() == []
    append(log, " line\n")
    assert tail.look() == ["half a line"]
    assert len({record.id for record in tail.records}) == 6


def test_ids_are_the_same_when_read_again(log: Path) -> None:
    first, again = Tail(log), Tail(log)
    first.look()
    again.look()
    assert first.records == again.records


def test_renamed(log: Path) -> None:
    tail = Tail(log)
    tail.look()
    append(log, lines(5, 8))
    log.rename(log.with_name("audit.log.1"))
    log.write_text(lines(8, 10))
    assert tail.look() == names(5, 10)
    append(log.with_name("audit.log.1"), "late\n")  # the writer had not opened the new one yet
    assert tail.look() == ["late"]


def test_copied_and_emptied(log: Path) -> None:
    tail = Tail(log)
    tail.look()
    append(log, lines(5, 8))
    shutil.copy(log, log.with_name("audit.log.1"))
    assert tail.look() == names(5, 8)  # the copy is there, the file not yet emptied
    append(log, "before\n")
    shutil.copy(log, log.with_name("audit.log.1"))
    log.write_text(lines(8, 30))  # emptied, and longer than before already
    assert tail.look() == ["before", *names(8, 30)]
    assert tail.look() == []


def test_emptied_without_a_copy(log: Path) -> None:
    tail = Tail(log)
    tail.look()
    log.write_text("new\n")
    assert tail.look() == ["new"]
    assert tail.skipped == {}


def test_rotated_several_times_while_no_one_looked(log: Path) -> None:
    tail = Tail(log)
    tail.look()
    append(log, lines(5, 6))
    age(log, 3 * HOUR)
    with gzip.open(log.with_name("audit.log.3.gz"), "wb") as packed:
        packed.write(log.read_bytes())
    os.utime(packed.name, ns=(log.stat().st_atime_ns, log.stat().st_mtime_ns))
    for number, (start, hours) in {2: (6, 2), 1: (8, 1)}.items():
        rotated = log.with_name(f"audit.log.{number}")
        rotated.write_text(lines(start, start + 2))
        age(rotated, hours * HOUR)
    log.unlink()
    log.write_text(lines(10, 12))
    assert tail.look() == names(5, 12)
    assert tail.look() == []


def test_compressed_after_it_was_read(log: Path) -> None:
    """Compressing makes a new file, which for some time is there beside the old one."""
    tail = Tail(log)
    tail.look()
    rotated = log.with_name("audit.log.1")
    log.rename(rotated)
    log.write_text(lines(5, 6))
    assert tail.look() == names(5, 6)
    packed = log.with_name("audit.log.1.gz")
    packed.write_bytes(gzip.compress(rotated.read_bytes())[:-12])
    assert tail.look() == []
    age(packed, HOUR)
    assert tail.look() == []
    packed.write_bytes(gzip.compress(rotated.read_bytes()))
    rotated.unlink()
    assert tail.look() == []


def test_rotations_from_before_the_first_look_are_left_out_unless_wanted(log: Path) -> None:
    old = log.with_name("audit.log.1")
    old.write_text("old\n")
    age(old, HOUR)
    assert Tail(log).look() == names(0, 5)
    assert Tail(log, rotated=True).look() == ["old", *names(0, 5)]


def test_a_gzip_that_matches_the_pattern_is_read_whole(log: Path) -> None:
    packed = log.with_name("app.log.gz")
    packed.write_bytes(gzip.compress(b"a\nb"))
    tail = Tail(packed)
    assert tail.look() == ["a", "b"]
    assert tail.look() == []


def test_a_damaged_gzip_gives_its_lines_and_says_so(log: Path) -> None:
    packed = log.with_name("app.log.gz")
    packed.write_bytes(gzip.compress(os.urandom(5000).hex().encode() + b"\nb\n")[:-6])
    age(packed, HOUR)
    tail = Tail(packed)
    tail.look()
    assert [record.problem.partition(":")[0] for record in tail.records][-1] == "damaged"
    assert tail.look() == []


def test_the_same_inode_with_other_lines_is_another_file(log: Path) -> None:
    tail = Tail(log)
    tail.look()
    text = log.read_text().replace("line 0", "LINE 0") + "more\n"
    with log.open("r+") as file:  # same inode, longer than before
        file.write(text)
    assert tail.look() == text.splitlines()


def test_a_line_that_is_too_long_is_told_and_the_next_is_read(log: Path) -> None:
    tail = Tail(log)
    tail.look()
    append(log, "a" * (3 * MAX_LINE))
    assert len(tail.look()) == 1
    append(log, "a" * 10 + "\nnext\n")
    assert tail.look() == ["next"]
    assert [r.problem.partition(":")[0] for r in tail.records if r.problem] == ["too_large"]


def test_a_last_line_without_end_counts_when_nothing_comes(log: Path) -> None:
    tail = Tail(log)
    append(log, "last")
    age(log, HOUR)
    assert tail.look() == [*names(0, 5), "last"]


def test_pages_are_bounded_and_each_position_goes_on_exactly(log: Path) -> None:
    log.write_text(lines(0, 30_000))
    reader = TailReader(TailSettings(paths=[str(log)]), Auditd())
    position, found = None, []
    while True:  # every page is the last before a crash
        page = next(iter(reader.read(position)), None)
        if page is None:
            break
        assert len(page.records) < 30_000
        found += [record.value.decode() for record in page.records]
        position = json.loads(json.dumps(page.position))
    assert found == names(0, 30_000)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_the_right_to_it_does_not_stop_the_others(log: Path) -> None:
    other = log.with_name("secret.log")
    other.write_text("x\n")
    other.chmod(0)
    tail = Tail(log, other)
    with pytest.raises(DeniedError, match=r"secret\.log"):
        tail.look()


def test_what_vanished_unread_is_counted(log: Path) -> None:
    tail = Tail(log)
    tail.look()
    append(log, "half")
    tail.look()
    log.unlink()
    assert tail.look() == []
    assert tail.skipped == {"lost": 1}


STEPS = st.lists(
    st.sampled_from(["write", "look", "rename", "copy", "compress", "partial"]), max_size=14
)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(STEPS)
def test_any_order_of_writing_looking_and_rotating_gives_every_line_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("tail")
    log = folder / "app.log"
    log.write_text("start\n")
    tail, written, read = Tail(log), ["start"], []
    read += tail.look()
    rotations = 0
    for number, step in enumerate([*steps, "end", "look"]):
        current, last = log.exists(), folder / f"app.log.{rotations}"
        if step in ("write", "partial", "end"):
            text = f"line {number}"
            append(log, text if step == "partial" else text + "\n")
            joined = written and written[-1].endswith("~")
            written[-1:] = [written[-1][:-1] + text] if joined else [*written[-1:], text]
            written[-1] += "~" if step == "partial" else ""
        elif step == "look":
            read += tail.look()
        elif step in ("rename", "copy") and current:
            if written[-1].endswith("~"):
                continue  # loggers rotate between lines
            rotations += 1
            rotated = folder / f"app.log.{rotations}"
            if step == "rename":
                log.rename(rotated)
            else:
                shutil.copy2(log, rotated)
                log.write_text("")
            read += tail.look()
        elif step == "compress" and last.exists():
            packed = folder / f"app.log.{rotations}.gz"
            packed.write_bytes(gzip.compress(last.read_bytes()))
            shutil.copystat(last, packed)
            last.unlink()
    for path in folder.iterdir():  # one that rotated unseen is read once it has settled
        age(path, HOUR)
    read += tail.look()
    assert sorted(read) == sorted(line.rstrip("~") for line in written)


def test_check_names_what_is_missing(tmp_path: Path) -> None:
    chosen = TailSettings(paths=[str(tmp_path / "none.log")])
    (check,) = TailReader(chosen, Auditd()).check()
    assert not check.ok
    assert "no such file" in check.detail
    assert tailing.SETTLE_S > 0
