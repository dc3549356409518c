"""Run stages: all of them, or those named; start more workers to go faster."""

from __future__ import annotations

from typing import Annotated

import typer

from sentinel import local, log
from sentinel.cli import _common
from sentinel.errors import SettingsError
from streams import worker


def command(
    stage: Annotated[
        list[str] | None, typer.Option(help="Run only this stage; may be given again.")
    ] = None,
    slot: Annotated[
        int, typer.Option(help="Which of several workers on this host this is: 0, 1, …")
    ] = 0,
) -> None:
    """Run stages until stopped: by default all of them, in one process."""
    settings = local.connect(_common.settings())
    log.configure(settings.log_level)
    chosen = tuple(stage or worker.STAGES)
    if unknown := [name for name in chosen if name not in worker.STAGES]:
        raise SettingsError(
            f"expected stages among {', '.join(worker.STAGES)}, found {', '.join(unknown)}"
        )
    raise typer.Exit(worker.run(settings, chosen, slot))
