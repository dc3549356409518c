"""Start everything: Kafka, PostgreSQL, the worker and the API."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from sentinel.cli import _bringup, _common
from sentinel.errors import StackError
from sentinel.local import home
from sentinel.settings import Settings

POLL_S = 0.2


def command(
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when all is healthy; keep it running.")
    ] = False,
    search: Annotated[bool, typer.Option("--search", help="Run Elasticsearch too.")] = False,
) -> None:
    """Start everything and keep it running until Ctrl-C or `sentinel down`."""
    settings = _common.settings()
    if detach:
        _detach(settings, search)
    else:
        _bringup.foreground(settings, search, lambda *_: threading.Event().wait())


def _detach(settings: Settings, search: bool) -> None:
    """Run ``sentinel up`` in a session of its own and follow it until all is healthy."""
    folder = settings.home.resolve()
    if (pid := home.holder(folder)) is not None:
        raise StackError(f"a stack already runs in {folder} (pid {pid}): see `sentinel status`")
    log = folder / "logs" / "supervisor.log"
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    command = [*_bringup.SENTINEL, "up", *(["--search"] if search else [])]
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603 # our own command line
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    try:
        _follow(process, log, folder)
    except KeyboardInterrupt:
        os.kill(process.pid, signal.SIGTERM)
        process.wait()
        raise


def _follow(process: subprocess.Popen[Any], log: Path, folder: Path) -> None:
    """Show the log as it grows; return when all is healthy.

    Raises
    ------
    StackError
        The process ended; the log, shown by then, says why.
    """
    with log.open() as lines:
        while True:
            code = process.poll()
            facts = home.facts(folder) or {}
            sys.stderr.write(lines.read())
            sys.stderr.flush()
            if facts.get("up"):
                return
            if code is not None:
                raise StackError(f"the stack did not start (status {code}); its log is {log}")
            time.sleep(POLL_S)
