"""Fetch what runs on the JVM from Maven, each file pinned by its SHA-256.

``kafka.lock`` and ``elasticsearch.lock`` list every file: Maven coordinate, bytes and
SHA-256. Only those are fetched, through jgo into the user's Maven cache (``~/.m2``), so
that a second clone downloads nothing, no POM is walked at start-up, and no address of a
server stands here. A file whose hash differs is fetched once more and then refused.

``python -m sentinel.local.artifacts`` writes the lock files anew from the coordinates in
`ROOTS`; run it to move to another version and read the difference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sentinel.errors import StackError
from sentinel.local.process import Report

# Kafka's own release adds a logging back-end that its Maven dependencies leave out.
ROOTS = {
    "kafka": (
        "org.apache.kafka:kafka_2.13:4.3.1",
        "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4",
    ),
    "elasticsearch": ("org.elasticsearch.distribution.integ-test-zip:elasticsearch:8.19.21::zip",),
}
AT_ONCE = 8
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Pinned:
    """One line of a lock file: a Maven coordinate, its size in bytes and its SHA-256."""

    coordinate: str
    size: int
    sha256: str

    @property
    def parts(self) -> tuple[str, str, str, str]:
        """Group, artifact, version and packaging."""
        group, artifact, packaging, version = self.coordinate.split(":")
        return group, artifact, version, packaging


def _lock_file(name: str) -> Path:
    return Path(__file__).with_name(f"{name}.lock")


def pinned(name: str) -> list[Pinned]:
    """Read the lock file of ``kafka`` or ``elasticsearch``."""
    rows = (line.split() for line in _lock_file(name).read_text().splitlines())
    return [Pinned(r[0], int(r[1]), r[2]) for r in rows if r and not r[0].startswith("#")]


def fetch(name: str, report: Report, *, verify: bool = False) -> list[Path]:
    """Return the local files of ``kafka`` or ``elasticsearch``, downloading those missing.

    Parameters
    ----------
    name
        Name of the lock file.
    report
        Told what is downloaded and how large it is.
    verify
        Hash the files that were there already too; else their size is trusted, since
        hashing them at every start would cost more than it proves.

    Raises
    ------
    StackError
        A file cannot be downloaded, or is not the one that is pinned.
    """
    rows = pinned(name)
    local = {row.coordinate: _artifact(row) for row in rows}
    missing = [row for row in rows if not _is_there(row, local[row.coordinate].cached_path, verify)]
    if missing:
        size = sum(row.size for row in missing)
        report(f"downloading {name}: {len(missing)} files, {size / MB:.1f} MB")
        with _progress(name, size) as advance, ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda row: _download(row, advance), missing))
    return [Path(local[row.coordinate].cached_path) for row in rows]


def _is_there(row: Pinned, path: Path, verify: bool) -> bool:
    if not path.exists() or path.stat().st_size != row.size:
        return False
    return not verify or _sha256(path) == row.sha256


def _artifact(row: Pinned, advance: Any = None) -> Any:
    """Return jgo's artifact for a row; `advance` is told of the bytes as they come."""
    from jgo.config import GlobalSettings
    from jgo.maven import MavenContext, PythonResolver

    @contextmanager
    def progress(_name: str, _size: int) -> Iterator[Any]:
        yield advance

    resolver = PythonResolver()
    resolver.progress_callback = progress if advance else None
    context = MavenContext(resolver=resolver, repo_cache=GlobalSettings.load().repo_cache)
    group, artifact, version, packaging = row.parts
    return context.project(group, artifact).at_version(version).artifact(packaging=packaging)


def _download(row: Pinned, advance: Any) -> None:
    from requests import RequestException

    artifact = _artifact(row, advance)
    path: Path = artifact.cached_path
    for last in (False, True):
        # jgo takes any file that exists for a whole one: what an interrupt left must go
        path.unlink(missing_ok=True)
        try:
            artifact.resolve()
        except (RequestException, RuntimeError, OSError) as error:
            if last:
                raise StackError(f"cannot download {row.coordinate} from Maven: {error}") from error
            continue
        if _sha256(path) == row.sha256:
            return
    found = _sha256(path)
    path.unlink()
    raise StackError(f"{row.coordinate}: expected SHA-256 {row.sha256}, found {found}: not used")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _progress(name: str, size: int) -> Iterator[Any]:
    """Show a bar on stderr where that is a terminal; yield what advances it by bytes."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(
        *columns, TransferSpeedColumn(), console=console, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(name, total=size)
        yield lambda count: bar.advance(task, count)


def write_locks() -> None:
    """Resolve `ROOTS` through Maven's POMs and write the lock files."""
    import jgo

    for name, roots in ROOTS.items():
        files: dict[str, Any] = {}
        for root in roots:
            for artifact in jgo.resolve(root):
                # one version of a project: that of the first root that names it
                files.setdefault(f"{artifact.groupId}:{artifact.artifactId}", artifact)
        lines = ["# coordinate bytes sha256; written by `python -m sentinel.local.artifacts`"]
        for artifact in files.values():
            path = artifact.resolve()
            coordinate = (
                f"{artifact.groupId}:{artifact.artifactId}:{artifact.packaging}:{artifact.version}"
            )
            lines.append(f"{coordinate} {path.stat().st_size} {_sha256(path)}")
        _lock_file(name).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    write_locks()
