"""SENTINEL_HOME: who runs there, what was chosen once, and where its parts answer.

::

    identity.json   chosen once: ports, Kafka cluster id, database password     0600
    stack.json      while a stack runs: where everything is, its pids           0600
    lock            held (flock) by the supervisor; the kernel frees it on death
    run/ logs/      one pid file and one log a process
    kafka/ postgres/ elasticsearch/   their data
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from sentinel.errors import StackError
from sentinel.local.process import alive
from sentinel.settings import Settings

PORT_NAMES = (
    *("kafka", "controller", "postgres", "elasticsearch", "elasticsearch_transport"),
    *("api", "worker", "persist", "connectors", "neural"),
)
PORT_RANGE = (20_000, 32_000)  # below what Linux hands out to outgoing connections
TOKEN_FILE = "api-token"  # noqa: S105 # the name of a file
#: Holds the one-time secret of the first user, from its making until it is used (mode 0600).
ADMIN_SECRET = "admin-secret"  # noqa: S105 # the name of a file


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the parts answer.

    Attributes
    ----------
    kafka
        Bootstrap servers.
    postgres
        DSN of the owner.
    elasticsearch
        URL, or empty where there is none.
    api
        URL of the API.
    token_file
        File with the API's token, mode 0600.
    """

    kafka: str
    postgres: str
    elasticsearch: str
    api: str
    token_file: Path


@dataclass(frozen=True, slots=True)
class Identity:
    """What a data directory keeps from start to start."""

    cluster_id: str
    password: str
    ports: Mapping[str, int]


def write_private(path: Path, value: Mapping[str, Any]) -> None:
    """Write JSON that only the owner can read, whole or not at all."""
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(value, file, indent=1)
        file.write("\n")
    fresh.replace(path)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(taken: set[int]) -> int:
    """Return a free port of the loopback interface that is not in `taken`."""
    low, high = PORT_RANGE
    for _ in range(1000):
        port = low + secrets.randbelow(high - low)
        if port not in taken and _is_free(port):
            return port
    raise StackError(f"no free port between {low} and {high} after 1000 tries")


def identity(home: Path) -> Identity:
    """Return the identity of `home`, making it at the first start.

    A port that something else has taken meanwhile is replaced by a free one. Call it only
    while holding the lock, with no part running.
    """
    path = home / "identity.json"
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    ports: dict[str, int] = dict(known.get("ports", {}))
    for name in PORT_NAMES:
        if name not in ports or not _is_free(ports[name]):
            ports[name] = free_port(set(ports.values()))
    made = Identity(
        cluster_id=known.get("cluster_id") or _cluster_id(),
        password=known.get("password") or secrets.token_urlsafe(24),
        ports=ports,
    )
    if asdict(made) != known:
        write_private(path, asdict(made))
    return made


def _cluster_id() -> str:
    """Return a Kafka cluster id: 16 bytes as URL-safe base64, not beginning with a dash."""
    raw = secrets.token_bytes(16)
    return base64.urlsafe_b64encode(bytes([raw[0] & 0x7F]) + raw[1:]).decode().rstrip("=")


def lock(home: Path, patience_s: float = 0.5) -> IO[str]:
    """Take the lock of `home`; it is held until the file is closed or the process ends.

    Raises
    ------
    StackError
        Another supervisor holds it for longer than `patience_s`; names its pid.
    """
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = (home / "lock").open("a+")
    deadline = time.monotonic() + patience_s  # `holder` takes it for an instant
    while not _try_lock(file):
        if time.monotonic() > deadline:
            file.seek(0)
            pid = file.read().strip() or "unknown"
            file.close()
            raise StackError(
                f"a stack already runs in {home} (pid {pid}): "
                "stop it with `sentinel down`, or set SENTINEL_HOME to another directory"
            )
        time.sleep(0.05)
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def holder(home: Path) -> int | None:
    """Return the pid of the supervisor that runs in `home`, or None."""
    try:
        file = (home / "lock").open("r+")
    except FileNotFoundError:
        return None
    with file:
        text = file.read().strip()
        return int(text) if not _try_lock(file) and text.isdigit() else None


def ensure_token(home: Path) -> Path:
    """Return the file with the API's token (mode 0600), made at the first call."""
    path = home / TOKEN_FILE
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
    return path


def facts(home: Path) -> dict[str, Any] | None:
    """Return ``stack.json`` of the stack that runs in `home`, or None if none does."""
    try:
        found: dict[str, Any] = json.loads((home / "stack.json").read_text())
    except (OSError, ValueError):
        return None
    return found if alive(found["pid"], found["created"]) else None


def find(settings: Settings, *need: str) -> Endpoints:
    """Return where the parts answer: from the settings first, else from the running stack.

    Parameters
    ----------
    settings
        Those of the process.
    need
        Parts that must be there, of ``kafka postgres elasticsearch api``; default: the
        first two.

    Raises
    ------
    StackError
        One that is needed is neither set nor running.
    """
    home = settings.home.resolve()
    running = facts(home) or {}
    values: dict[str, str] = {
        "kafka": settings.kafka or running.get("kafka", ""),
        "postgres": settings.postgres or running.get("postgres", ""),
        "elasticsearch": settings.elasticsearch or running.get("elasticsearch", ""),
        "api": settings.api_url or running.get("api", ""),
    }
    for part in need or ("kafka", "postgres"):
        if not values[part]:
            variable = "SENTINEL_API_URL" if part == "api" else f"SENTINEL_{part.upper()}"
            raise StackError(f"not running: run `sentinel up`, or set {variable} (home: {home})")
    return Endpoints(**values, token_file=home / TOKEN_FILE)


def connect(settings: Settings, *need: str) -> Settings:
    """Return `settings` with the addresses of the running stack filled in; see `find`."""
    found = find(settings, *need)
    where = {
        "home": settings.home.resolve(),
        "kafka": found.kafka,
        "postgres": found.postgres,
        "elasticsearch": found.elasticsearch,
        "api_url": found.api,
    }
    return settings.model_copy(update=where)
