"""Stop everything that `up` started; the data stays."""

from __future__ import annotations

import time
from contextlib import suppress

import psutil

from sentinel.cli import _common
from sentinel.errors import StackError
from sentinel.local import home
from sentinel.local.process import alive, reap

WAIT_S = 120.0
POLL_S = 0.1


def command() -> None:
    """Stop the stack in SENTINEL_HOME, in order; succeeds too if none runs."""
    folder = _common.settings().home.resolve()
    pid = home.holder(folder)
    if pid is None:
        if folder.is_dir():
            reap(folder, _common.note)  # what a killed supervisor left
        _common.note(f"nothing runs in {folder}")
        return
    _common.note(f"stopping the stack in {folder} (pid {pid})")
    with suppress(psutil.NoSuchProcess):
        supervisor = psutil.Process(pid)
        supervisor.terminate()
        _wait(supervisor)
    _common.note("stopped")


def _wait(supervisor: psutil.Process) -> None:
    """Wait until a process has ended; one that its parent has not fetched yet has ended.

    Raises
    ------
    StackError
        It runs on for `WAIT_S`.
    """
    deadline = time.monotonic() + WAIT_S
    while alive(supervisor.pid, supervisor.create_time()):
        if time.monotonic() > deadline:
            raise StackError(f"the stack (pid {supervisor.pid}) did not stop within {WAIT_S:.0f} s")
        time.sleep(POLL_S)
