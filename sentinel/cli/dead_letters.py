"""Records that could not be handled: list, show, replay after a fix, or discard them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from sentinel import local
from sentinel.cli import _common
from sentinel.cli._common import JsonOption
from sentinel.cli._lists import options
from sentinel.errors import SettingsError
from streams.runtime.letterbox import STATUSES, Letter, Letterbox

app = typer.Typer(no_args_is_help=True, help=__doc__)
T = TypeVar("T")
Ids = Annotated[list[str] | None, typer.Argument(help="partition/offset, as list shows them.")]
Reason = Annotated[str, typer.Option(help="Only letters with this reason.")]
Source = Annotated[str, options.ONLY_SOURCE]
All = Annotated[bool, typer.Option("--all", help="All new letters that fit the options.")]


@app.command("list")
def list_(
    reason: Reason = "",
    source: Source = "",
    stage: Annotated[str, typer.Option(help="Only letters of this stage.")] = "",
    status: Annotated[str, typer.Option(help="new, replayed, discarded; empty: all.")] = "new",
    json: JsonOption = False,
) -> None:
    """List dead letters, oldest first."""
    if status and status not in STATUSES:
        raise SettingsError(f"expected --status among {', '.join(STATUSES)}, found {status!r}")
    letters = _with(lambda box: box.search(status, reason, stage, source))
    if json:
        _common.print_json(*(_as_json(letter) for letter in letters))
        return
    columns = ("id", "time", "source", "reason", "detail", "size")
    rows = [
        (
            each.id,
            f"{each.time:%Y-%m-%d %H:%M:%S}",
            each.source,
            each.reason,
            each.detail,
            each.size,
        )
        for each in letters
    ]
    none = "nothing is left to mend; --status '' lists those that were replayed or discarded, too"
    _common.print_table(f"Dead letters: {len(letters)}", columns, rows, none)


@app.command()
def show(
    letter: Annotated[str, typer.Argument(help="partition/offset, as list shows it.")],
    raw: Annotated[bool, typer.Option(help="Only the record's own bytes.")] = False,
    json: JsonOption = False,
) -> None:
    """Show one letter: where it came from, why it was refused, and the whole record."""

    async def look(box: Letterbox) -> tuple[Letter, bytes]:
        found = (await box.find([letter]))[0]
        return found, box.read([found.id])[0].value

    found, value = _with(look)
    if raw:
        sys.stdout.buffer.write(value)
    elif json:
        _common.print_json(_as_json(found) | {"value": value.decode("utf-8", "backslashreplace")})
    else:
        rows = [(name, text) for name, text in _as_json(found).items() if name != "value"]
        _common.print_table(f"Dead letter {found.id}", ("field", "value"), rows)
        sys.stdout.write(value[:4096].decode("utf-8", "backslashreplace") + "\n")


@app.command()
def replay(
    letters: Ids = None, every: All = False, reason: Reason = "", source: Source = "",
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Send letters to their source's topic again, after the cause is mended."""

    async def work(box: Letterbox) -> int:
        return await box.replay(await _chosen(box, letters, every, reason, source))

    _say("replayed", _with(work), json)


@app.command()
def discard(
    letters: Ids = None, every: All = False, reason: Reason = "", source: Source = "",
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Mark letters as not worth mending; they stay in the topic until its retention."""

    async def work(box: Letterbox) -> int:
        return await box.mark(await _chosen(box, letters, every, reason, source), "discarded")

    _say("discarded", _with(work), json)


async def _chosen(
    box: Letterbox, ids: list[str] | None, every: bool, reason: str, source: str
) -> list[Letter]:
    """Return the letters named, or all new ones that fit."""
    if bool(ids) == every:
        raise SettingsError("expected either ids or --all, found " + ("both" if ids else "neither"))
    return await (box.find(ids) if ids else box.search("new", reason, "", source))


def _with(work: Callable[[Letterbox], Awaitable[T]]) -> T:
    """Do something with the dead letters of the running stack."""

    async def run() -> T:
        box = await Letterbox.open(local.connect(_common.settings()))
        try:
            return await work(box)
        finally:
            await box.close()

    return asyncio.run(run())


def _as_json(letter: Letter) -> dict[str, object]:
    """Return a letter with its beginning as text."""
    return letter._asdict() | {"value": letter.value.decode("utf-8", "backslashreplace")}


def _say(done: str, count: int, json: bool) -> None:
    if json:
        _common.print_json({done: count})
    else:
        _common.note(f"{count} dead letters {done}")
