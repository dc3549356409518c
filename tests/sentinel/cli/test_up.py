"""`up`, `status` and `down` as a person or a script uses them, with everything real."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request

import psutil
import pytest

SENTINEL = [sys.executable, "-m", "sentinel.cli"]


@pytest.fixture
def sentinel(tmp_path):
    """Return a function that runs ``sentinel …`` in a home of the test's own."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("SENTINEL_")}
    env |= {"SENTINEL_HOME": str(tmp_path / "home"), "SENTINEL_API_PORT": "0"}

    def run(*args, timeout=280):
        return subprocess.run(
            [*SENTINEL, *args],
            env=env,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    run.env = env
    run.home = tmp_path / "home"
    yield run
    run("down")


def test_up_detach_status_crash_down(sentinel):
    up = sentinel("up", "--detach")
    assert up.returncode == 0, up.stderr
    assert "/docs" in up.stderr
    assert "sentinel push" in up.stderr
    facts = json.loads((sentinel.home / "stack.json").read_text())
    assert facts["postgres"].rpartition("@")[0] not in up.stderr  # the password stays inside
    with urllib.request.urlopen(f"{facts['api']}/health") as answer:
        assert answer.status == 200

    rows = [json.loads(line) for line in sentinel("status", "--json").stdout.splitlines()]
    names = ["api", "kafka", "neural", "persist", "postgres", "worker"]
    assert sorted(row["part"] for row in rows) == names
    assert {row["state"] for row in rows} == {"ready"}

    again = sentinel("up", "--detach")
    assert again.returncode == 1
    assert f"already runs in {sentinel.home} (pid {facts['pid']})" in again.stderr

    pid = {row["part"]: row["pid"] for row in rows}
    os.kill(pid["api"], signal.SIGKILL)
    deadline = time.monotonic() + 180
    while (now := api_row(sentinel))["restarts"] != 1 or now["state"] != "ready":
        assert time.monotonic() < deadline
    assert now["pid"] != pid["api"]
    log = (sentinel.home / "logs" / "supervisor.log").read_text()
    assert "api was killed by SIGKILL; restarting in 0.5 s" in log

    down = sentinel("down")
    assert down.returncode == 0, down.stderr
    for number in (*pid.values(), now["pid"], facts["pid"]):
        assert not runs(number)
    assert sentinel("down").returncode == 0  # nothing to do is fine


def runs(pid):
    """Return whether a process runs; a zombie, which only its parent can remove, does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def api_row(sentinel):
    rows = [json.loads(line) for line in sentinel("status", "--json").stdout.splitlines()]
    return next(row for row in rows if row["part"] == "api")


def test_ctrl_c_while_it_starts_leaves_nothing(sentinel):
    process = subprocess.Popen(
        [*SENTINEL, "up"], env=sentinel.env, stderr=subprocess.PIPE, text=True
    )
    with process:
        line = process.stderr.readline()
        while "is up" not in line:
            assert line, "ended by itself"
            line = process.stderr.readline()
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert "interrupted while it started: all is stopped" in process.stderr.read()
    assert process.returncode == 1
    assert not psutil.wait_procs(children, timeout=60)[1]
