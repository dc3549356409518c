"""Files: each once, resumed exactly, damage told, what is gone counted."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors._reading import files
from connectors._reading.base import Page, Position, SourceError
from connectors._reading.files import FilesReader, FilesSettings
from connectors.generic import Generic

ROOT = Path(__file__).resolve().parents[3]


def reader(*paths: Path, **more: Any) -> FilesReader:
    return FilesReader(FilesSettings(paths=list(paths), settle_s=0, **more), Generic())


def read(*paths: Path, position: Position | None = None, **more: Any) -> list[Page]:
    return list(reader(*paths, **more).read(position))


def values(pages: list[Page]) -> list[Any]:
    return [json.loads(record.value) for page in pages for record in page.records]


def write(path: Path, *numbers: int, age: float = 0) -> Path:
    path.write_text("".join(f'{{"n":{number}}}\n' for number in numbers))
    state = path.stat()
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns - int(age * 1e9)))
    return path


def test_oldest_first_each_once_and_again_when_changed(tmp_path: Path) -> None:
    write(tmp_path / "b.json", 1, 2, age=20)
    write(tmp_path / "a.json", 3, age=10)
    pages = read(tmp_path)
    assert [value["n"] for value in values(pages)] == [1, 2, 3]
    position = json.loads(json.dumps(pages[-1].position))
    assert read(tmp_path, position=position) == []
    write(tmp_path / "a.json", 3, 4)
    again = read(tmp_path, position=position)
    assert [value["n"] for value in values(again)] == [3, 4]
    ids = [record.id for page in (*pages, *again) for record in page.records]
    assert len(set(ids)) == 5


def test_a_crash_after_any_page_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from connectors._reading import paging

    monkeypatch.setattr(paging, "PAGE_RECORDS", 7)
    for number in range(5):
        write(tmp_path / f"{number}.json", *range(10 * number, 10 * number + 10), age=9 - number)
    position, found = None, []
    while page := next(iter(read(tmp_path, position=position)), None):
        found += values([page])
        position = json.loads(json.dumps(page.position))
    assert [value["n"] for value in found] == list(range(50))


def test_truncated_gzip_gives_what_is_there_and_a_problem(tmp_path: Path) -> None:
    lines = "".join(f'{{"n":{number},"x":"{os.urandom(20).hex()}"}}\n' for number in range(2000))
    (tmp_path / "log.json.gz").write_bytes(gzip.compress(lines.encode())[:-5000])
    (page,) = read(tmp_path)
    *good, last = page.records
    assert len(good) > 100
    assert last.problem.startswith("damaged: expected ")
    assert last.id not in {record.id for record in good}
    assert read(tmp_path, position=page.position) == []


def test_a_file_that_goes_between_list_and_read_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.json", 1)
    gone = write(tmp_path / "b.json", 2)
    made = reader(tmp_path)
    listed = made._files()
    gone.unlink()
    monkeypatch.setattr(made, "_files", lambda: listed)
    (page,) = made.read(None)
    assert page.skipped == {"vanished": 1}
    assert len(page.records) == 1


def test_since_match_and_settling(tmp_path: Path) -> None:
    write(tmp_path / "old.json", 1, age=100_000)
    write(tmp_path / "new.json", 2, age=60)
    write(tmp_path / "new.txt", 3, age=60)
    since = datetime.fromtimestamp((tmp_path / "new.json").stat().st_mtime - 60, UTC)
    assert values(read(tmp_path, since=since, match="*.json")) == [{"n": 2}]
    chosen = FilesSettings(paths=[tmp_path], settle_s=3600)
    assert values(list(FilesReader(chosen, Generic()).read(None))) == [{"n": 1}]


def test_listing_names_what_reading_names(tmp_path: Path) -> None:
    write(tmp_path / "a.json", 1, 2)
    write(tmp_path / "empty.json")
    pages = read(tmp_path)
    whole = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    listed = {each.id for each in reader(tmp_path).listing(*whole)}
    assert {ident for page in pages for ident in page.done} == listed
    assert {r.id.rpartition("#")[0] for page in pages for r in page.records} < listed


def test_a_missing_path_and_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match="found nothing"):
        read(tmp_path / "none")
    (check,) = reader(tmp_path / "none").check()
    assert not check.ok
    monkeypatch.setattr(files, "MOST_FILES", 1)
    write(tmp_path / "a.json", 1)
    write(tmp_path / "b.json", 1)
    with pytest.raises(SourceError, match="move away what has been read"):
        read(tmp_path)


MEASURE = """
import resource, sys
from pathlib import Path
from connectors._reading.files import FilesReader, FilesSettings
from connectors.generic import Generic
reader = FilesReader(FilesSettings(paths=[Path(sys.argv[1])], settle_s=0), Generic())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = size = 0
for page in reader.read(None):
    count += len(page.records)
    size += sum(len(record.value) for record in page.records)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(count, size, (after - before) // 1024)
"""


def test_a_file_far_larger_than_memory_is_read_in_little(tmp_path: Path) -> None:
    """Two gigabytes take as much as these 200 MB: what grows is counted, not kept."""
    block = (b'{"n":"' + b"x" * 990 + b'"}\n') * 2000
    with gzip.open(tmp_path / "huge.json.gz", "wb", compresslevel=1) as packed:
        for _ in range(100):
            packed.write(block)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)], cwd=ROOT, capture_output=True, check=True
    )
    count, size, grown_mib = map(int, done.stdout.split())
    assert (count, size) == (200_000, 200_000 * 998)
    assert grown_mib < 48
