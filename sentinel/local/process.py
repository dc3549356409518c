"""Run a process and keep it running: `Service` says what, `Supervised` does it.

Each service has one thread that spawns the process, waits until it is ready, waits until
it ends, and starts it again with back-off. The thread lives as long as the service since
the kernel ties a child's parent-death signal to the *thread* that forked it (prctl(2)).
"""

from __future__ import annotations

import errno
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from sentinel.errors import StackError

Report = Callable[[str], None]

LOG_ROTATE_BYTES = 16 * 1024 * 1024
FIRST_START_TRIES = 3
STEADY_S = 60.0  # a process that ran this long is healthy again: its back-off restarts
POLL_S = 0.1
SPACE_POLL_S = 1.0
_EXEC = str(Path(__file__).with_name("_exec.py"))


@dataclass(frozen=True, slots=True)
class User:
    """The user a process runs as, by number."""

    uid: int
    gid: int


def unprivileged() -> User | None:
    """Return the user to run as what refuses root (PostgreSQL, Elasticsearch); None if not root."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return User(nobody.pw_uid, nobody.pw_gid)


@dataclass(frozen=True, slots=True)
class Service:
    """What to run.

    Attributes
    ----------
    name
        One word; names the log and the pid file.
    command
        Absolute path of the program, then its arguments.
    ready
        Called every 0.1 s after a start until it returns True; must not raise.
    env
        The whole environment of the process, as only what is named here is passed on.
    user
        Whom to run as; None: as the supervisor.
    stop_signal
        Asks the process to end; also sent by the kernel when the supervisor dies.
    stop_s, start_s
        Seconds it may take to end before it is killed, and to become ready.
    backoff_s, backoff_ready_s, backoff_max_s
        Seconds before the first restart, doubled at each failure up to the most: the second
        after a process that had become ready, so that work goes on within seconds however
        often it is killed, the third after one that had not.
    data, space_mib
        Its folder, and the free space in MiB without which it is not started.
    """

    name: str
    command: Sequence[str]
    ready: Callable[[], bool]
    env: Mapping[str, str] = field(default_factory=dict)
    user: User | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_s: float = 20.0
    start_s: float = 60.0
    backoff_s: float = 0.5
    backoff_ready_s: float = 4.0
    backoff_max_s: float = 30.0
    data: Path | None = None
    space_mib: int = 0

    def lack(self) -> str:
        """Return what is said if its disk has too little room, else nothing."""
        if self.data is None:
            return ""
        try:
            free = shutil.disk_usage(self.data).free >> 20
        except OSError:
            return ""  # starting it says better what is wrong
        if free >= self.space_mib:
            return ""
        return f"expected {self.space_mib} MiB free for {self.data}, found {free}; make room"


def wrap(command: Sequence[str], user: User | None, death_signal: int) -> list[str]:
    """Return the command line that runs `command` as `user`, ended when this thread ends."""
    options = {
        "parent": os.getpid(),
        "death_signal": int(death_signal),
        "uid": user.uid if user else None,
        "gid": user.gid if user else None,
    }
    return [sys.executable, "-I", "-S", _EXEC, json.dumps(options), *command]


def run_once(
    command: Sequence[str], env: Mapping[str, str], user: User | None = None, stdin: str = ""
) -> str:
    """Run a short command to its end and return what it printed.

    Raises
    ------
    StackError
        It failed; the message carries the last lines it printed.
    """
    done = subprocess.run(  # noqa: S603 # our own command lines only
        wrap(command, user, signal.SIGKILL),
        env=dict(env),
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        tail = " / ".join(done.stdout.strip().splitlines()[-5:])
        raise StackError(f"{Path(command[0]).name} failed (status {done.returncode}): {tail}")
    return done.stdout


class Supervised:
    """A service that is kept running until `stop`.

    Parameters
    ----------
    service
        What to run.
    home
        The data directory: logs go to ``logs/``, the pid file to ``run/``.
    report
        Told in one sentence of every start, end and restart; called from a thread.
    """

    def __init__(self, service: Service, home: Path, report: Report) -> None:
        self.service = service
        self.log = home / "logs" / f"{service.name}.log"
        self.restarts = 0
        self._pid_file = home / "run" / f"{service.name}.pid"
        self._report = report
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = threading.Event()
        self._over = threading.Event()  # given up, or stopped
        self._stopping = threading.Event()
        self._spawning = threading.Lock()
        self._error = ""
        self._late = False  # killed by us, as it was not ready in time
        self._unstarted = ""  # why not
        self._thread = threading.Thread(target=self._run, name=service.name, daemon=True)

    @property
    def name(self) -> str:
        """The name of the service."""
        return self.service.name

    @property
    def pid(self) -> int | None:
        """The pid of the running process; None between an end and the next start."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    @property
    def is_ready(self) -> bool:
        """Whether the process runs and has answered its ready check."""
        return self._ready.is_set() and self.pid is not None

    def start(self) -> None:
        """Start the thread that keeps the process running; returns at once."""
        self._thread.start()

    def wait_ready(self, timeout_s: float | None = None) -> None:
        """Wait until the process is ready.

        Raises
        ------
        StackError
            It kept ending, or was not ready within `timeout_s`; names the log.
        """
        limit = timeout_s or self.service.start_s * FIRST_START_TRIES
        deadline = time.monotonic() + limit
        while not self.is_ready:
            if self._over.wait(POLL_S / 2):
                raise StackError(self._error or f"{self.name} was stopped while it started")
            if time.monotonic() > deadline:
                raise StackError(
                    f"{self.name} is not ready after {limit:.0f} s; its log is {self.log}"
                )

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the process as it is, for tests of crashes; no-op if it is down."""
        if (pid := self.pid) is not None:
            if number in (signal.SIGKILL, signal.SIGSTOP):
                self._ready.clear()
            os.kill(pid, number)
            if number is signal.SIGCONT:
                self._ready.set()

    def stop(self) -> None:
        """Ask the process to end, kill it if it does not within `stop_s`, and wait for it."""
        self._stopping.set()
        with self._spawning:
            process = self._process
        if process is not None and process.poll() is None:
            _signal_group(process, self.service.stop_signal)
            try:
                process.wait(self.service.stop_s)
            except subprocess.TimeoutExpired:
                self._report(f"{self.name} did not stop in {self.service.stop_s:.0f} s: killed")
                _signal_group(process, signal.SIGKILL, whole=True)
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        failures = 0
        try:
            while not self._stopping.is_set():
                self._await_space()
                began = time.monotonic()
                was_ready, self._unstarted = self._attempt()
                if self._stopping.is_set():
                    return
                if time.monotonic() - began > STEADY_S:
                    failures = 0
                if not was_ready and self.restarts == 0 and failures + 1 >= FIRST_START_TRIES:
                    self._error = f"{self._death()}, {FIRST_START_TRIES} times; {self._tail()}"
                    return
                delay = self._delay(failures, was_ready)
                failures += 1
                self._report(f"{self._death()}; restarting in {delay:g} s (log: {self.log})")
                if self._stopping.wait(delay):
                    return
                self.restarts += was_ready
        finally:
            self._ready.clear()
            self._over.set()

    def _delay(self, failures: int, was_ready: bool) -> float:
        most = self.service.backoff_ready_s if was_ready else self.service.backoff_max_s
        return min(most, self.service.backoff_s * 2.0 ** min(failures, 16))

    def _await_space(self) -> None:
        """Wait for room on the disk; the first start fails rather than waits (`_once`)."""
        lack = self.service.lack() if self.restarts else ""
        if lack:
            self._report(f"{self.name} waits: {lack}")
        while lack and not self._stopping.wait(SPACE_POLL_S):
            lack = self.service.lack()

    def _attempt(self) -> tuple[bool, str]:
        """Run the process once; return whether it had become ready, or why it did not start.

        A full disk, or too many processes, may pass: it is tried again like a crash.
        """
        try:
            return self._once(), ""
        except OSError as error:
            return False, str(error)

    def _once(self) -> bool:
        """Run the process once, to its end; return whether it had become ready."""
        if lack := self.service.lack():
            raise OSError(errno.ENOSPC, lack)
        with self._spawning:
            if self._stopping.is_set():
                return False
            process = self._spawn()
        began = time.monotonic()
        was_ready = self._await_ready(process)
        if was_ready:
            self._ready.set()
            took = time.monotonic() - began
            self._report(f"{self.name} is up after {took:.1f} s (pid {process.pid})")
        process.wait()
        self._ready.clear()
        self._pid_file.unlink(missing_ok=True)
        return was_ready

    def _spawn(self) -> subprocess.Popen[bytes]:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._pid_file.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_ROTATE_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 # our own command lines only
                wrap(self.service.command, self.service.user, self.service.stop_signal),
                env=dict(self.service.env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C at the terminal is the supervisor's to handle
            )
        self._process = process
        write_pid(self._pid_file, process.pid)
        return process

    def _await_ready(self, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + self.service.start_s
        self._late = False
        while process.poll() is None and not self._stopping.is_set():
            if self.service.ready():
                return True
            if time.monotonic() > deadline:
                self._late = True
                _signal_group(process, signal.SIGKILL, whole=True)
                return False
            self._stopping.wait(POLL_S)
        return False

    def _death(self) -> str:
        if self._unstarted:
            return f"{self.name} cannot be started: {self._unstarted}"
        if self._late:
            return f"{self.name} was not ready within {self.service.start_s:.0f} s and was killed"
        code = self._process.returncode if self._process else None
        if code is not None and code < 0:
            return f"{self.name} was killed by {signal.Signals(-code).name}"
        return f"{self.name} ended with status {code}"

    def _tail(self) -> str:
        with suppress(OSError):
            lines = self.log.read_text(errors="replace").strip().splitlines()
            return f"the last lines of {self.log}: " + " / ".join(lines[-4:])
        return f"its log {self.log} cannot be read"


def _signal_group(process: subprocess.Popen[Any], number: int, *, whole: bool = False) -> None:
    with suppress(ProcessLookupError):
        if whole:
            os.killpg(process.pid, number)
        else:
            os.kill(process.pid, number)


def write_pid(path: Path, pid: int) -> None:
    """Note a process so that `reap` can find it after a crash of the supervisor."""
    with suppress(psutil.NoSuchProcess, OSError):  # a full disk must not end what just started
        path.write_text(f"{pid} {psutil.Process(pid).create_time()}\n")


def alive(pid: int, created: float) -> psutil.Process | None:
    """Return the process `pid` if it is still the one created at `created` (Unix seconds)."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        same = abs(process.create_time() - created) < 1.0
        if same and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def reap(home: Path, report: Report, grace_s: float = 15.0) -> None:
    """Stop what an earlier supervisor that was killed left running, found by its pid files."""
    for path in sorted((home / "run").glob("*.pid")):
        with suppress(ValueError):
            pid, created = path.read_text().split()
            process = alive(int(pid), float(created))
            if process is not None:
                report(f"stopping {path.stem} (pid {pid}), left over from a killed run")
                _end(process, grace_s)
        path.unlink(missing_ok=True)


def _end(process: psutil.Process, grace_s: float) -> None:
    with suppress(psutil.NoSuchProcess):
        # SIGINT is PostgreSQL's fast shutdown; it may have got it already from the kernel
        process.send_signal(signal.SIGINT if process.name() == "postgres" else signal.SIGTERM)
        try:
            process.wait(grace_s)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(grace_s)
