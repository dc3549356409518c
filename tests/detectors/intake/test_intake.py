"""Importing rules: what was edited here stays, what changed there comes, and nothing else."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.intake.files import MOST_FILES, apply, read_source, read_target
from detectors.intake.lines import merge
from detectors.intake.merge import LARGEST, is_staged, plan, stage, unstage
from detectors.sigma import RuleSet
from sentinel.cli.app import run
from sentinel.errors import RuleError

RULE = """\
title: {title}
id: {id}
status: test
logsource:
  product: aws
  service: cloudtrail
detection:
  selection:
    eventName: {name}
  condition: selection
level: {level}
"""
ID = "11111111-2222-4333-8444-555555555555"


def rule(title="T", name="CreateUser", level="low", ident=ID):
    return RULE.format(title=title, id=ident, name=name, level=level)


lines = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "d\n", "\n"]), max_size=8).map("".join)


@given(lines, lines)
def test_a_side_that_changed_nothing_yields_to_the_other(base, other):
    assert merge(base, base, other) == other
    assert merge(base, other, base) == other
    assert merge(base, other, other) == other


@given(lines, lines, lines)
def test_merging_is_the_same_from_either_side_and_never_half(base, one, other):
    assert merge(base, one, other) == merge(base, other, one)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=12), st.data())
def test_edits_of_different_lines_both_come_through(edits, data):
    """Lines that differ from one another, some edited here, some there, apart from each other."""
    base = [f"{n}\n" for n in range(2 * len(edits))]
    mine, theirs, both = base[:], base[:], base[:]
    for place, edit in enumerate(edits):
        for side, text in ((mine, "mine"), (theirs, "theirs"))[edit - 1 : edit] if edit else ():
            side[2 * place] = both[2 * place] = f"{text} {data.draw(st.integers(0, 9))} {place}\n"
    assert merge("".join(base), "".join(mine), "".join(theirs)) == "".join(both)


def whats(changes):
    return {each.path: each.what for each in changes}


class Folder(dict):
    """A rule folder in memory: what is here, and what was imported."""

    def __init__(self):
        self.base: dict[str, str] = {}

    def take(self, theirs, staged=False):
        changes = plan({p: t.encode() for p, t in theirs.items()}, self, self.base, staged=staged)
        for each in changes:
            if each.text is not None:
                self[each.path] = each.text
            if each.base is not None:
                self.base[each.path] = each.base
        return whats(changes)


def test_the_life_of_a_rule_that_is_edited_on_both_sides():
    here = Folder()
    assert here.take({"a.yml": rule()}) == {"a.yml": "added"}
    assert here.take({"a.yml": rule()}) == {"a.yml": "unchanged"}
    assert here.take({"a.yml": rule(level="high")}) == {"a.yml": "updated"}
    here["a.yml"] = here["a.yml"].replace("title: T", "title: Ours")
    assert here.take({"a.yml": rule(level="high")}) == {"a.yml": "kept"}
    assert here.take({"a.yml": rule(level="medium")}) == {"a.yml": "merged"}
    assert here["a.yml"] == rule(title="Ours", level="medium")
    assert here.take({"a.yml": rule(title="Theirs", level="medium")}) == {"a.yml": "conflict"}
    assert here["a.yml"] == rule(title="Ours", level="medium")
    assert here.take({"a.yml": rule(title="Theirs", level="medium")}) == {"a.yml": "conflict"}
    here["a.yml"] = rule(title="Theirs", level="medium")
    assert here.take({"a.yml": rule(title="Theirs", level="medium")}) == {"a.yml": "unchanged"}
    del here["a.yml"]
    assert here.take({"a.yml": rule(title="Theirs", level="medium")}) == {"a.yml": "kept"}
    assert here.take({"a.yml": rule(title="New", level="medium")}) == {"a.yml": "conflict"}
    assert here.take({"b.yml": rule(ident="other")}) == {"a.yml": "gone", "b.yml": "added"}


def test_a_rule_that_was_moved_is_the_same_rule():
    here = Folder()
    here.take({"old/a.yml": rule()})
    assert here.take({"new/b.yml": rule(level="high")}) == {"old/a.yml": "updated"}
    assert list(here) == ["old/a.yml"]


def test_a_file_of_ones_own_is_not_overwritten():
    here = Folder()
    here["a.yml"] = rule(title="Ours")
    assert here.take({"a.yml": rule()}) == {"a.yml": "conflict"}


def test_a_trial_is_no_edit_and_outlives_updates():
    here = Folder()
    here.take({"a.yml": rule()}, staged=True)
    assert is_staged(here["a.yml"])
    assert here.take({"a.yml": rule()}) == {"a.yml": "unchanged"}
    assert here.take({"a.yml": rule(level="high")}) == {"a.yml": "updated"}
    assert here["a.yml"] == stage(rule(level="high"))
    here["a.yml"] = unstage(here["a.yml"])
    assert here["a.yml"] == rule(level="high")
    assert here.take({"a.yml": rule(level="low")}, staged=True) == {"a.yml": "updated"}
    assert not is_staged(here["a.yml"]), "only what is added"


@given(st.text(alphabet="ab:\n- ", max_size=40))
def test_staging_is_taken_back_whole(text):
    assert unstage(stage(text)).rstrip("\n") == text.rstrip("\n")
    assert stage(stage(text)) == stage(text)


def test_every_rule_of_a_file_is_staged(tmp_path):
    both = rule() + "---\n" + rule(ident="22222222-2222-4333-8444-555555555555")
    (tmp_path / "a.yml").write_text(stage(both))
    loaded = RuleSet.load([tmp_path])
    assert [each.staged for each in loaded.rules] == [True, True]
    (tmp_path / "a.yml").write_text(both)
    assert [each.staged for each in RuleSet.load([tmp_path]).rules] == [False, False]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"on: push\njobs: {}\n", "no Sigma rule"),
        (b"\xff", "UTF-8"),
        (b"x" * (LARGEST + 1), "most"),
    ],
)
def test_what_is_no_rule_is_refused_with_a_reason(content, reason):
    (change,) = plan({"a.yml": content}, {}, {})
    assert change.what == "refused"
    assert reason in change.reason
    assert change.text is None


def zipped(tmp_path, files):
    path = tmp_path / "rules.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def tarred(tmp_path, files):
    path = tmp_path / "rules.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return path


@pytest.mark.parametrize("make", [zipped, tarred])
def test_archives_are_read_without_their_top_and_never_lead_elsewhere(tmp_path, make):
    source = make(tmp_path, {
        "sigma-main/rules/a.yml": "a", "sigma-main/other/b.yaml": "b", "sigma-main/README.md": "x",
        "sigma-main/.github/c.yml": "c", "../up.yml": "u", "/abs.yml": "r",
    })  # fmt: skip
    assert read_source(source) == {"rules/a.yml": b"a", "other/b.yaml": b"b"}
    assert read_source(source, "rules") == {"a.yml": b"a"}
    with pytest.raises(RuleError, match="below none: expected files"):
        read_source(source, "none")


def test_what_is_no_source_is_said(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"PK\x03\x04 broken")
    for name in ("x.zip", "missing"):
        with pytest.raises(RuleError, match="expected rules in a folder, zip or tar"):
            read_source(tmp_path / name)
    assert MOST_FILES > 10_000


def test_what_is_written_is_read_back(tmp_path):
    changes = plan({"x/a.yml": rule().encode()}, {}, {})
    apply(tmp_path, changes)
    mine, base = read_target(tmp_path)
    assert mine == base == {"x/a.yml": rule()}
    assert len(RuleSet.load([tmp_path]).rules) == 1, "what is kept beside is no rule"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SENTINEL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SENTINEL_RULES", raising=False)
    return tmp_path / "home"


def test_commands_import_on_trial_and_promote(tmp_path, home, capsys):
    source = tmp_path / "theirs"
    source.mkdir()
    (source / "a.yml").write_text(rule())

    def call(*args, status=0):
        assert run(["rules", *args]) == status
        said = capsys.readouterr()
        return [json.loads(line) for line in said.out.splitlines() if line[0] == "{"], said.err

    rows, said = call("import", str(source), "--staged", "--dry-run", "--json")
    assert [(row["path"], row["what"]) for row in rows] == [("a.yml", "added")]
    assert "nothing was written" in said
    assert not home.exists()
    call("import", str(source), "--staged")
    rows, _ = call("list", "--staged", "--json")
    assert [(row["id"], row["staged"]) for row in rows] == [(ID, True)]
    assert "is none" in call("promote", "nothing", status=1)[1]
    assert "neither" in call("promote", status=1)[1]
    call("promote", ID)
    assert call("list", "--staged", "--json")[0] == []
    (home / "rules" / "a.yml").write_text(rule(title="Ours"))
    (source / "a.yml").write_text(rule(title="Theirs"))
    rows, said = call("import", str(source), "--json", status=1)
    assert rows[0]["what"] == "conflict"
    assert "edit these files by hand" in said
