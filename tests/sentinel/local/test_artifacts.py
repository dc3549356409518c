"""Every file that runs on the JVM is pinned; one that was damaged is noticed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sentinel.errors import StackError
from sentinel.local import artifacts


@pytest.mark.parametrize("name", ["kafka", "elasticsearch"])
def test_lock_files_pin_the_roots_and_name_no_server(name):
    rows = artifacts.pinned(name)
    found = {
        ":".join((group, artifact, version))
        for group, artifact, version, _ in (row.parts for row in rows)
    }
    assert {root.partition("::")[0] for root in artifacts.ROOTS[name]} <= found
    assert all(len(row.sha256) == 64 and row.size > 0 for row in rows)
    assert "://" not in (Path(artifacts.__file__).with_name(f"{name}.lock")).read_text()


@pytest.fixture
def one(tmp_path, monkeypatch):
    """Return a file of a Maven cache that holds the smallest of Kafka's files alone."""
    row = min(artifacts.pinned("kafka"), key=lambda row: row.size)
    (real,) = [p for p in artifacts.fetch("kafka", print) if p.stat().st_size == row.size]
    monkeypatch.setattr(artifacts, "pinned", lambda _: [row])
    monkeypatch.setenv("M2_REPO", str(tmp_path))
    group, artifact, version, _ = row.parts
    copy = tmp_path.joinpath(*group.split("."), artifact, version, real.name)
    copy.parent.mkdir(parents=True)
    shutil.copy(real, copy)
    return copy


def test_what_is_there_is_not_downloaded_again(one):
    said = []
    assert artifacts.fetch("kafka", said.append, verify=True) == [one]
    assert said == []


def test_a_truncated_file_is_downloaded_again(one, monkeypatch):
    one.write_bytes(one.read_bytes()[:-1])
    fetched = []
    monkeypatch.setattr(artifacts, "_download", lambda row, _: fetched.append(row.coordinate))
    artifacts.fetch("kafka", lambda _: None)
    assert len(fetched) == 1


def test_a_file_with_another_hash_is_refused_and_removed(one, monkeypatch):
    """Maven's server is replaced by one that sends other bytes of the same size."""

    def send_other(artifact):
        artifact.cached_path.parent.mkdir(parents=True, exist_ok=True)
        artifact.cached_path.write_bytes(b"\0" * artifacts.pinned("kafka")[0].size)
        return artifact.cached_path

    monkeypatch.setattr("jgo.maven.PythonResolver.download", lambda _, a: send_other(a))
    one.unlink()
    with pytest.raises(StackError, match=r"expected SHA-256 [0-9a-f]{64}, found .*not used"):
        artifacts.fetch("kafka", lambda _: None)
    assert not one.exists()
