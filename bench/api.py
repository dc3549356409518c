"""The API under load: 150 users, a mix of list, detail, search and stats; database and memory.

``--events N`` stores N events and N / 25 alerts (5,000,000 and 200,000 are the figures that
are aimed at). Beside it stands the same load on a plain FastAPI route that answers a constant
of the same size, in the same number of processes: the ratio is what our own work costs.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from bench._with.context import Context
from bench._with.events import ROOT
from bench.measure import Row, percentile
from sentinel import postgres
from sentinel.local import Stack
from sentinel.local.stack import environment_for_children
from streams.runtime import migrate

USERS, SECONDS, WARM_S, PROCESSES = 150, 10.0, 3.0, 2
#: Requests a second that are offered in `api.paced`: users who never pause wait for one another,
#: 150 of them for 150 ms on average where 1,000 are answered a second.
OFFERED = 1050
EVENTS_PER_ALERT = 25
AT_ONCE = 500_000
SQL = postgres.queries(Path(__file__).parent / "_with" / "api.sql")
TOKEN = "bench-token-of-all-tenants-0123456789"


def run(context: Context) -> Iterator[Row]:
    """Fill a database, put users on the API, and look at what they and it saw."""
    home = context.temporary()
    settings = context.settings.model_copy(update={"home": home, "kafka": "127.0.0.1:1"})
    stack = Stack(settings)
    stack.start()
    try:
        migrate.apply(stack.postgres)
        alerts = max(1000, context.events // EVENTS_PER_ALERT)
        context.report(f"storing {context.events} events and {alerts} alerts")
        ids = _fill(stack.postgres, context.events, alerts)
        (home / "api-token").write_text(TOKEN)
        (home / "api-token").chmod(0o600)
        env = {"SENTINEL_HOME": str(home), "SENTINEL_POSTGRES": stack.postgres}
        env |= {"SENTINEL_KAFKA": "127.0.0.1:1", "SENTINEL_LOG_LEVEL": "WARNING"}
        with _serving("api", env) as served:
            size = len(_get(f"{served.url}/v1/alerts?limit=25"))
            idle = served.rss_mib()
            ours = _load(context, served, _mix(ids)) | {"idle_mib": idle}
            ours["loaded_mib"] = served.rss_mib()
            paced = _load(context, served, _mix(ids), every_s=USERS / OFFERED)
            health = _load(context, served, {"health": ["/health"]}, users=1, seconds=2.0)
        with _serving("constant", env | {"BENCH_SIZE": str(size)}) as served:
            plain = _load(context, served, {"constant": ["/"]})
        yield {"name": "api.mix", "events": context.events, "alerts": alerts, **ours}
        ratio = plain["requests_per_s"] / max(1, ours["requests_per_s"])
        yield {"name": "api.paced", "offered_per_s": OFFERED, **paced}
        yield {"name": "api.constant", **plain, "x_ours": round(ratio, 2)}
        yield {"name": "api.health", "p95_ms": health["p95_ms"]}
        yield {"name": "api.database", **_database(stack.postgres, ids)}
        with _serving("api", env, processes=1) as served:
            url = f"{served.url}/v1/exports/alerts?format=csv"
            rows, seconds = _export(url)
            yield {
                "name": "api.export",
                "rows": rows,
                "seconds": seconds,
                "peak_mib": served.peak(),
            }
    finally:
        stack.stop()


def _fill(dsn: str, events: int, alerts: int) -> list[str]:
    """Store rows as the sinks would; return ids of some alerts.

    Events go into a partition that gets its indexes when it is whole: five million take
    minutes so, with indexes an hour.
    """
    numbered = {name: _psycopg(text) for name, text in SQL.items()}
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SELECT set_config('sentinel.tenant', '*', false)")
        connection.execute("SET synchronous_commit = off")
        connection.execute("SET maintenance_work_mem = '512MB'")
        connection.execute(SQL["partition"])
        for first in range(1, events + 1, AT_ONCE):
            last = min(first + AT_ONCE - 1, events)
            connection.execute(numbered["events"], {"p1": events, "p2": first, "p3": last})
        connection.execute(SQL["attach"])
        connection.execute(numbered["alerts"], {"p1": alerts})
        connection.execute(SQL["evidence"])
        connection.execute("VACUUM ANALYZE events, alerts, alert_events")
        rows = connection.execute("SELECT id FROM alerts ORDER BY id LIMIT 500").fetchall()
    return [str(row[0]) for row in rows]


def _psycopg(text: str) -> str:
    text = text.replace("%", "%%")
    for number in (1, 2, 3):
        text = text.replace(f"${number}", f"%(p{number})s")
    return text


def _mix(ids: list[str]) -> dict[str, list[str]]:
    """Return the paths of each kind of request; how often each comes, says `WEIGHTS`."""
    who = range(0, 5000, 50)
    search = [f"user:user-{n}%20AND%20severity%3E%3Dmedium%20AND%20time%3Enow-2d" for n in who]
    return {
        "list": [f"/v1/alerts?limit=25&min_severity={name}" for name in ("low", "medium", "high")],
        "detail": [f"/v1/alerts/{each}?limit=10" for each in ids],
        "search": [f"/v1/alerts?limit=25&query={each}" for each in search]
        + [f"/v1/events?limit=10&query=entity:user-{n}" for n in who],
        "stats": ["/v1/stats?bucket=hour", "/v1/stats/top?by=rule", "/v1/stats/mitre"],
    }


WEIGHTS = {"list": 40, "detail": 40, "search": 15, "stats": 5}


class _Served:
    """Processes that serve one port."""

    def __init__(self, port: int, processes: list[subprocess.Popen[bytes]]) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.processes = processes

    def rss_mib(self) -> int:
        """Return the memory of one process, in MiB."""
        return _status(self.processes[0].pid, "VmRSS")

    def peak(self) -> int:
        """Return the most memory that any process ever held, in MiB."""
        return max(_status(each.pid, "VmHWM") for each in self.processes)

    def cpu_s(self) -> float:
        """Return the CPU seconds of all processes."""
        total = 0
        for each in self.processes:
            fields = Path(f"/proc/{each.pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / os.sysconf("SC_CLK_TCK")


def _status(pid: int, name: str) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition(f"{name}:")[2].split()[0]) // 1024


@contextmanager
def _serving(what: str, env: dict[str, str], processes: int = PROCESSES) -> Iterator[_Served]:
    """Serve the API, or the constant, and stop it in the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "bench.api", what, str(port)]
    whole = environment_for_children() | env | {"PYTHONPATH": str(ROOT)}
    started = [subprocess.Popen(command, cwd=ROOT, env=whole) for _ in range(processes)]
    served = _Served(port, started)
    try:
        deadline = time.monotonic() + 180
        ready = 0
        while ready < 4 * processes and time.monotonic() < deadline:
            try:
                _get(f"{served.url}/health")
                ready += 1
            except OSError:
                time.sleep(0.2)
        time.sleep(2)  # the kernel shares connections out among those that listen by now
        yield served
    finally:
        for each in started:
            each.terminate()
        for each in started:
            each.wait(20)


def _get(url: str) -> bytes:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: bytes = answer.read()
    return found


def _load(
    context: Context,
    served: _Served,
    mix: dict[str, list[str]],
    users: int = USERS,
    seconds: float = SECONDS,
    every_s: float = 0.0,
) -> dict[str, Any]:
    """Put users on what is served; return what they saw, and the CPU time of a request."""
    paths = {name: {"weight": WEIGHTS.get(name, 1), "paths": found} for name, found in mix.items()}
    plan = {"url": served.url, "token": TOKEN, "users": users, "mix": paths}
    file = context.temporary() / "plan.json"
    file.write_text(json.dumps(plan | {"seconds": seconds, "warm_s": WARM_S, "every_s": every_s}))
    before = served.cpu_s()
    subprocess.run([sys.executable, "-m", "bench._with.load", str(file)], cwd=ROOT, check=True)
    result: dict[str, Any] = json.loads(file.with_suffix(".result").read_text())
    answered = result["requests_per_s"] * (seconds + WARM_S)
    result["cpu_ms_per_request"] = round(1000 * (served.cpu_s() - before) / max(1, answered), 2)
    return result


def _database(dsn: str, ids: list[str]) -> dict[str, Any]:
    """Time one alert by id within the database, with row-level security and without."""
    explain = "EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM alerts AS a WHERE a.id = %s"
    took: dict[str, list[float]] = {"with": [], "without": []}
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SELECT set_config('sentinel.tenant', 'default', false)")
        for kind in ("without", "with"):  # the owner of the embedded cluster is above policies
            if kind == "with":
                connection.execute(f"SET ROLE {postgres.API}")
            for identity in ids[:200]:
                row = connection.execute(explain, (identity,)).fetchone()
                assert row is not None
                plan = row[0][0]
                took[kind].append(plan["Planning Time"] + plan["Execution Time"])
    p95 = {kind: percentile(found, 95) for kind, found in took.items()}
    extra = percentile(took["with"], 50) - percentile(took["without"], 50)
    return {"one_alert_p95_ms": round(p95["with"], 3), "row_security_ms": round(extra, 3)}


def _export(url: str) -> tuple[int, float]:
    """Export everything; return rows and seconds."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
    began = time.monotonic()
    rows = 0
    with urllib.request.urlopen(request, timeout=600) as answer:
        while chunk := answer.read(65536):
            rows += chunk.count(b"\n")
    return rows - 1, round(time.monotonic() - began, 1)


def main(what: str, port: str) -> None:
    """Be a server: of the API, or of a constant."""
    import uvicorn

    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.bind(("127.0.0.1", int(port)))
    http: Any = "auto"
    if what == "api":
        from api.app import create
        from api.sending.joined import Protocol
        from sentinel.settings import load

        app: Any = create(load())
        http = Protocol
    else:
        from fastapi import FastAPI
        from fastapi.responses import Response

        app = FastAPI()
        body = b"x" * int(os.environ["BENCH_SIZE"])

        @app.get("/{path:path}")
        async def constant(path: str) -> Response:
            return Response(body)

    config = uvicorn.Config(
        app,
        http=http,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # as `sentinel api`, unless it is told of proxies
    )
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main(*sys.argv[1:])
