"""Run stages: all of them, or those named; start more workers to go faster."""

from __future__ import annotations

from typing import Annotated

import typer

from sentinel import local, log
from sentinel.cli import _common
from sentinel.errors import SettingsError
from streams.worker import STAGES, run


def command(
    stage: Annotated[
        list[str] | None, typer.Option(help="Run only this stage; may be given again.")
    ] = None,
    slot: Annotated[
        int, typer.Option(help="Which of several workers on this host this is: 0, 1, …")
    ] = 0,
) -> None:
    """Run stages until stopped: by default all of them, in one process."""
    chosen = tuple(stage or STAGES)
    if unknown := [name for name in chosen if name not in STAGES]:
        raise SettingsError(
            f"expected stages among {', '.join(STAGES)}, found {', '.join(unknown)}"
        )
    settings = local.connect(_common.settings())
    log.configure(settings.log_level)
    raise typer.Exit(run(settings, chosen, slot))
