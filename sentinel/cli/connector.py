"""Inputs, which bring logs in: list, describe, test, or run those of SENTINEL_CONNECTORS."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from connectors._reading.base import Check, SourceError
from connectors._reading.ways import load, ways
from connectors._running import config, inputs, runner
from connectors._sources import sources
from sentinel import local, log
from sentinel.cli import _common
from sentinel.cli._common import JsonOption
from sentinel.errors import SettingsError

app = typer.Typer(no_args_is_help=True, help=__doc__)
Names = Annotated[list[str] | None, typer.Argument(help="Names of inputs; none: all of them.")]


@app.command("list")
def list_(json: JsonOption = False) -> None:
    """List the configured inputs, and every source with its ways in."""
    settings = _common.settings()
    known = sources(settings)
    targets = config.read(Path(settings.connectors), known) if settings.connectors else []
    rows = [(each.name, each.source, each.way, each.tenant) for each in targets]
    columns = ("name", "source", "reader", "tenant")
    every = [(name, list(ways(cls)), _about(name, cls)) for name, cls in known.items()]
    if json:
        shown = [dict(zip(columns, row, strict=True)) for row in rows]
        listed = [{"source": name, "readers": found, "about": text} for name, found, text in every]
        _common.print_json({"inputs": shown, "sources": listed})
        return
    if rows:
        _common.print_table(f"Inputs of {settings.connectors}", columns, rows)
    else:
        _common.note("no inputs: SENTINEL_CONNECTORS names the file that lists them")
    table = ((name, ", ".join(found), text) for name, found, text in every)
    _common.print_table("Sources", ("source", "readers", "about"), table)


@app.command()
def describe(
    source: Annotated[str, typer.Argument(help="Name of a source.")], json: JsonOption = False
) -> None:
    """Describe the ways into a source and their settings."""
    known = sources(_common.settings())
    if source not in known:
        raise SettingsError(f"expected a source among {', '.join(known)}, found {source!r}")
    for name, place in ways(known[source]).items():
        try:
            kind = load(place)
        except SettingsError as error:
            _common.note(f"{name}: {error}")
            continue
        fields = list(config.describe(kind.Settings))
        about = (kind.__doc__ or "").strip().split("\n")[0]
        if json:
            shown = [field._asdict() for field in fields]
            _common.print_json({"reader": name, "about": about, "settings": shown})
        else:
            columns = ("setting", "type", "default", "meaning")
            _common.print_table(f"{name}: {about}", columns, fields)


@app.command()
def test(name: Annotated[str, typer.Argument(help="Name of an input.")]) -> None:
    """Try the credentials and rights of an input; exit status 1 where something is missing."""
    settings = _common.settings()
    (target,) = inputs.chosen(settings, [name])
    reader = target.open()
    failed = 0
    try:
        for check in _checks(reader.check()):
            mark = "ok     " if check.ok else "MISSING"
            failed += not check.ok
            _common.console.print(
                f"{mark}  {check.what}" + (f": {check.detail}" if check.detail else ""),
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
    finally:
        reader.close()
    if failed:
        raise SettingsError(f"{name}: {failed} of the checks failed; see what is missing above")


def _checks(found: Iterator[Check]) -> Iterator[Check]:
    """Yield checks; a failure of the source in one of them is a check that failed."""
    try:
        yield from found
    except SourceError as error:
        yield Check("the source", ok=False, detail=str(error))


@app.command()
def run(
    names: Names = None,
    once: Annotated[bool, typer.Option(help="End when all there is has been read.")] = False,
    since: Annotated[
        str,
        typer.Option(
            "--since",
            "--from",
            help="Read again from this time on (ISO 8601), not from the position.",
        ),
    ] = "",
) -> None:
    """Run inputs until stopped."""
    targets = inputs.chosen(_common.settings(), names or [])
    settings = local.connect(_common.settings(), "kafka")
    log.configure(settings.log_level)
    failed = runner.run(settings, targets, once=once, since=inputs.moment(since) if since else None)
    if failed:
        said = "\n".join(f"{name}: {reason}" for name, reason in failed.items())
        raise SettingsError(f"expected every input to be read, found\n{said}")


def _about(name: str, cls: type) -> str:
    """Return what a source is, in the first line of its file or, of a mapping, of its class."""
    file = sys.modules[cls.__module__]
    own = file.__doc__ if cls.__module__.endswith(f".{name}") else cls.__doc__
    return (own or "").strip().split("\n")[0].replace("``", "`")
