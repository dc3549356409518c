"""Rule files where they come from and where they go: folders and archives in, a folder out.

What was imported last is kept beside the rules in `BASE`, under names that are not those of
rules, so that no one loads it. Files are written beside and renamed: a worker that looks never
sees half of one.
"""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Final

from detectors.intake.merge import LARGEST, Change
from sentinel.errors import RuleError

BASE: Final = ".base"
BASE_SUFFIX: Final = ".base"
SUFFIXES: Final = (".yml", ".yaml")
#: Most files, and bytes of all of them, of one import.
MOST_FILES, MOST_BYTES = 50_000, 256 << 20


def read_source(source: Path, under: str = "") -> dict[str, bytes]:
    """Return the YAML files of a folder or archive (zip, tar and what compresses it) by path.

    A single folder around everything, as archives of a repository have, is left out, and so is
    what lies in hidden folders.

    Parameters
    ----------
    under
        Only what is below this folder, by paths from there.

    Raises
    ------
    RuleError
        It is neither, broken, too large, or has no such file.
    """
    try:
        found = _checked(_folder(source) if source.is_dir() else _archive(source))
    except (
        OSError,
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        ValueError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise RuleError(f"{source}: expected rules in a folder, zip or tar, found: {error}"
                        ) from error  # fmt: skip
    if not source.is_dir():
        found = _without_top(found)
    head = f"{under.strip('/')}/" if under.strip("/") else ""
    found = {path.removeprefix(head): c for path, c in found.items() if path.startswith(head)}
    if not found:
        where = f"{source}, below {under}" if under else str(source)
        raise RuleError(f"{where}: expected files named *.yml or *.yaml, found none")
    return found


def _checked(files: Iterable[tuple[str, bytes]]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    size = 0
    for path, content in files:
        found[path] = content
        size += len(content)
        if len(found) > MOST_FILES or size > MOST_BYTES:
            raise ValueError(f"more than {MOST_FILES} files or {MOST_BYTES} bytes")
    return found


def _wanted(name: str) -> str:
    """Return the path of a rule file in its usual form; "" of what is none or leads elsewhere."""
    path = PurePosixPath(name.replace("\\", "/"))
    parts = [part for part in path.parts if part != "."]
    odd = path.is_absolute() or any(part.startswith(".") or "\0" in part for part in parts)
    return "" if odd or path.suffix.lower() not in SUFFIXES else "/".join(parts)


def _folder(source: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(source.rglob("*")):
        name = _wanted(path.relative_to(source).as_posix())
        if name and path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                yield name, _head(file)


def _archive(source: Path) -> Iterator[tuple[str, bytes]]:
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            for member in archive.infolist():
                if not member.is_dir() and (name := _wanted(member.filename)):
                    with archive.open(member) as file:
                        yield name, _head(file)
        return
    with tarfile.open(source) as tar:
        for entry in tar:
            if entry.isfile() and (name := _wanted(entry.name)):
                opened = tar.extractfile(entry)
                if opened is not None:
                    yield name, _head(opened)


def _head(file: IO[bytes]) -> bytes:
    """Return a file, or of one that is too large as much as shows that it is."""
    return file.read(LARGEST + 1)


def _without_top(found: Mapping[str, bytes]) -> dict[str, bytes]:
    tops = {path.partition("/")[0] for path in found}
    if len(tops) != 1 or any("/" not in path for path in found):
        return dict(found)
    return {path.partition("/")[2]: content for path, content in found.items()}


def read_target(target: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return the rule files in `target`, and what was imported there the last time, by path."""
    return dict(_texts(target, "")), dict(_texts(target / BASE, BASE_SUFFIX))


def _texts(folder: Path, suffix: str) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob(f"*{suffix}")) if folder.is_dir() else ():
        name = path.relative_to(folder).as_posix().removesuffix(suffix)
        if _wanted(name) and path.is_file():
            yield name, path.read_bytes().decode("utf-8", "replace")


def apply(target: Path, changes: Iterable[Change]) -> None:
    """Write what changed: each rule, then what was imported.

    A crash in between is mended by importing again.

    Raises
    ------
    RuleError
        A file cannot be written.
    """
    try:
        for change in changes:
            if change.text is not None:
                write(target / change.path, change.text)
            if change.base is not None:
                write(target / BASE / f"{change.path}{BASE_SUFFIX}", change.base)
    except OSError as error:
        raise RuleError(f"{target}: expected a folder to write rules to, found: {error}") from error


def write(path: Path, text: str) -> None:
    """Replace a file whole; whoever reads it meanwhile has the one or the other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(text.encode())
    part.replace(path)
