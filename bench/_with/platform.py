"""A whole platform in a temporary directory, started and stopped as a person does it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench._with.context import Context
from bench._with.events import ROOT
from sentinel import local
from sentinel.settings import Settings

#: Time for a command to end after Ctrl-C, s.
STOP_S = 60


class Platform:
    """``sentinel`` in `home`, with all rules."""

    def __init__(self, context: Context, home: Path) -> None:
        self.home = home
        self._settings = context.settings
        kept = {k: v for k, v in os.environ.items() if not k.startswith("SENTINEL_")}
        self._env = kept | {
            "SENTINEL_HOME": str(home),
            "SENTINEL_API_PORT": "0",
            "SENTINEL_RULES": ":".join(str(path.resolve()) for path in context.rules),
        }

    def sentinel(self, *args: str) -> float:
        """Run a command; return the seconds that it took."""
        started = time.monotonic()
        command = [sys.executable, "-m", "sentinel.cli", *args]
        done = subprocess.run(command, cwd=ROOT, env=self._env, capture_output=True)
        if done.returncode:
            raise RuntimeError(f"sentinel {args[0]} failed: {done.stderr.decode()}")
        return time.monotonic() - started

    def settings(self) -> Settings:
        """Return the settings with which a client finds it."""
        return local.connect(self._settings.model_copy(update={"home": self.home}))

    def peak_mib(self, part: str) -> int:
        """Return the most memory that a part ever held (VmHWM), in MiB."""
        status = Path(f"/proc/{self.pid(part)}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) // 1024

    def pid(self, part: str) -> int:
        """Return the id of the process that a part is."""
        parts = json.loads((self.home / "stack.json").read_bytes())["parts"]
        return int(parts[part]["pid"])

    @contextmanager
    def beside(self, *args: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command meanwhile; it is killed in the end if it still runs."""
        command = [sys.executable, "-m", "sentinel.cli", *args]
        with subprocess.Popen(
            command, cwd=ROOT, env=self._env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    @staticmethod
    def interrupted(process: subprocess.Popen[bytes]) -> bytes:
        """Press Ctrl-C; return what the command wrote."""
        process.send_signal(signal.SIGINT)
        return process.communicate(timeout=STOP_S)[0]


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of all threads of a process so far, and of its ended children."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, stat[11:15])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def platform(context: Context) -> Iterator[Platform]:
    """Start a platform and stop it in the end."""
    running = Platform(context, context.temporary())
    context.report("starting a platform")
    running.sentinel("up", "--detach")
    try:
        yield running
    finally:
        running.sentinel("down")
