"""The whole platform as a person starts it: ``sentinel up --detach``, and its commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Platform:
    """A running platform; `run` is a command of it, `json` its output line by line."""

    env: dict[str, str]
    home: Path
    rules: list[Path] = field(default_factory=list)

    def run(self, *args: str, check: bool = True, stdin: bytes | None = None) -> bytes:
        done = subprocess.run(
            [sys.executable, "-m", "sentinel.cli", *args],
            env=self.env, cwd=ROOT, input=stdin, capture_output=True, timeout=240,
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(f"sentinel {' '.join(args)}: {done.stderr.decode()}")
        self.last = done
        return done.stdout

    def json(self, *args: str, check: bool = True, stdin: bytes | None = None) -> list[Any]:
        output = self.run(*args, "--json", check=check, stdin=stdin)
        return [json.loads(line) for line in output.splitlines()]

    def balance(self) -> int:
        return self.json("ledger", check=False)[0]["balance"]

    def counts(self, stage: str, tenant: str) -> dict[str, int]:
        """Return the ledger's counts of a stage and tenant, over all sources."""
        total: dict[str, int] = {}
        for row in self.json("ledger", check=False)[0]["rows"]:
            if row["stage"] == stage and row["tenant"] == tenant:
                for name, value in row.items():
                    if isinstance(value, int):
                        total[name] = total.get(name, 0) + value
        return total


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Yield a platform of our own, started and stopped as the README says."""
    home = tmp_path_factory.mktemp("platform")
    env = {k: v for k, v in os.environ.items() if not k.startswith("SENTINEL_")}
    env |= {"SENTINEL_HOME": str(home), "SENTINEL_API_PORT": "0", "COLUMNS": "200"}
    env["SENTINEL_DELIVER_ALLOW"] = "127.0.0.1"  # where receivers of tests are
    running = Platform(env, home)
    running.run("up", "--detach")
    yield running
    running.run("down")


@pytest.fixture
def tenant(request: pytest.FixtureRequest) -> str:
    """Return a tenant that no other test uses: tests share the platform, not the data."""
    return f"t{zlib.crc32(request.node.nodeid.encode()):08x}"


@pytest.fixture
def pushed(platform: Platform, tenant: str) -> Callable[..., dict[str, Any]]:
    """Push paths of a source as this test's tenant, and wait until all is stored."""

    def push(source: str, *paths: Path | str, stdin: bytes | None = None) -> dict[str, Any]:
        texts = [str(path) for path in paths]
        return platform.json(
            "push", *texts, "--source", source, "--tenant", tenant, "--wait", stdin=stdin
        )[0]

    return push
