"""Stop everything that `up` started; the data stays."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

from sentinel.cli import _common
from sentinel.errors import StackError
from sentinel.local import home
from sentinel.local.process import reap

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
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + WAIT_S
    while home.holder(folder) == pid:
        if time.monotonic() > deadline:
            raise StackError(f"the stack (pid {pid}) did not stop within {WAIT_S:.0f} s")
        time.sleep(POLL_S)
    _common.note("stopped")
