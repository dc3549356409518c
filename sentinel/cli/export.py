"""Write all alerts or events that a search finds to a file: JSON, CSV, XML, STIX 2.1, PDF."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import httpx
import typer
from rich.progress import Progress

from sentinel.cli import _client, _common
from sentinel.cli._lists import listing, options
from sentinel.errors import SettingsError, StackError

FORMATS = {
    "alerts": ("jsonl", "json", "csv", "xml", "stix", "pdf"),
    "events": ("jsonl", "json", "csv", "xml"),
}
#: What each item has once, by format; a report is made as a whole.
_ITEM = {name: b"\n" for name in ("jsonl", "csv", "json", "xml")} | {"stix": b'{"type":"sighting"'}
#: An export may think for a while before its first byte, in seconds.
TIMEOUT_S = 600.0


def command(
    what: Annotated[str, typer.Argument(help="alerts or events.")],
    query: options.Query = None,
    format_: Annotated[
        str | None,
        typer.Option("--format", "-f", help="jsonl, json, csv or xml; of alerts stix and pdf too."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File; its ending says the format.")
    ] = None,
    since: options.Since = None,
    until: options.Until = None,
    tenant: options.OnlyTenant = None,
) -> None:
    """Export everything that a search finds, to --out or to standard output.

    The file appears when it is whole; one that is there already is replaced.
    """
    if what not in FORMATS:
        raise SettingsError(f"expected alerts or events, found {what!r}")
    chosen = format_ or _ending(out)
    if chosen not in FORMATS[what]:
        raise SettingsError(
            f"expected --format among {', '.join(FORMATS[what])} for {what}, found {chosen!r}"
        )
    params: dict[str, Any] = {"format": chosen, "query": query, "tenant": tenant}
    params |= listing.span(since, until)
    with _client.connect() as client, _file(out) as file:
        _copy(client, f"/v1/exports/{what}", params, file)
    if out is not None:
        _common.note(f"wrote {out} ({out.stat().st_size} bytes)")


def _ending(out: Path | None) -> str:
    if out is None:
        return "jsonl"
    return "stix" if out.name.endswith(".stix.json") else out.suffix.removeprefix(".")


@contextmanager
def _file(out: Path | None) -> Iterator[BinaryIO]:
    """Yield where to write; a file has its name only once it is whole."""
    if out is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = out.with_name(f"{out.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(out)
    except OSError as error:
        raise SettingsError(f"--out: expected to write {out}: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


def _copy(client: httpx.Client, path: str, params: dict[str, Any], file: BinaryIO) -> None:
    """Copy the export while it comes, and show how much of it."""
    given = {name: value for name, value in params.items() if value is not None}
    with (
        client.stream("GET", path, params=given, timeout=TIMEOUT_S) as answer,
        Progress(console=_common.progress_console, transient=True) as progress,
    ):
        total = int(_client.checked(answer).headers.get("X-Total-Count", 0))
        mark = _ITEM.get(params["format"])
        task = progress.add_task("exporting", total=total if mark else None)
        try:
            for chunk, items in counted(answer.iter_bytes(), mark):
                file.write(chunk)
                progress.advance(task, items)
        except httpx.RemoteProtocolError as error:
            raise StackError(f"expected the whole export, it broke off: {error}") from error


def counted(chunks: Iterable[bytes], mark: bytes | None) -> Iterator[tuple[bytes, int]]:
    """Yield each chunk and how often `mark` has come in it, wherever chunks are cut.

    >>> list(counted([b"a--", b"b-", b"-"], b"--"))
    [(b'a--', 1), (b'b-', 0), (b'-', 1)]
    """
    held = b""
    for chunk in chunks:
        if mark is None:
            yield chunk, 0
            continue
        whole = held + chunk
        yield chunk, whole.count(mark)
        held = whole[max(0, len(whole) - len(mark) + 1) :]
