"""Bring everything up under one supervisor: the parts, the schema, the topics, our processes.

`sentinel.cli.up` and ``run`` share it. The order is forced: migrations need PostgreSQL,
topics need Kafka, the worker needs both, and a person wants the API last.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from shutil import which
from types import FrameType

from connectors._running import config
from connectors._sources import sources
from sentinel.cli import _common
from sentinel.cli.topics import register
from sentinel.errors import SettingsError, StackError
from sentinel.kafka import create_topics
from sentinel.local import Service, Stack
from sentinel.local.home import ADMIN_SECRET, ensure_token, find
from sentinel.local.probe import HOST, healthy, listens
from sentinel.local.stack import environment_for_children
from sentinel.settings import Settings
from streams.runtime import migrate

Report = Callable[[str], None]
#: A process of ours; ``-P``, since a clone in the current folder is called as our package is.
SENTINEL = (sys.executable, "-P", "-m", "sentinel.cli")
START_S = 180.0  # the first start compiles the models
#: The workers and their stages: what writes to the stores has a process of its own, so that
#: neither the way to an alert nor the way to a row waits for the other's computations; and
#: what takes 62 MB of samples a second keeps none of them waiting.
WORKERS = {
    "worker": ("normalize", "detect", "correlate"),
    "persist": ("persist", "dead_letter", "deliver"),
    "neural": ("neural", "stimulate"),
}

SUMMARY = """\
Sentinel is up. Ctrl-C or `{sentinel} down` stops it; its data stays in {home}.

  API         {api}/docs   (token: {token})
  Kafka       {kafka}
  PostgreSQL  {postgres}
  logs        {logs}
{first}
Push your own logs
  {sentinel} push FILE_OR_FOLDER --source cloudtrail
  curl -H "Authorization: Bearer $(cat {token})" --data-binary @FILE {api}/v1/ingest/auditd
  any Kafka producer, to the topic raw.SOURCE at {kafka}
See the alerts, and why one fired
  {sentinel} alerts --follow
  {sentinel} alert ID
"""
#: Until somebody has signed in for the first time.
FIRST = """
Make yourself its administrator (one-time secret: {secret})
  {sentinel} users password admin --tenant '*'
"""


def bring_up(settings: Settings, report: Report, *, search: bool = False) -> Stack:
    """Start everything and return when all is healthy; the caller stops the stack.

    Parameters
    ----------
    settings
        Those of this process.
    report
        Told in one sentence of each step, and of each later crash and restart.
    search
        Run Elasticsearch too.

    Raises
    ------
    SentinelError
        A step failed, with the reason; nothing is left running.
    """
    known = sources(settings)
    if settings.api_tls_certificate:  # what waits for it asks by plain HTTP
        raise SettingsError(
            "SENTINEL_API_TLS_CERTIFICATE: expected it unset here, found it set; run `sentinel "
            "api` by itself with it, beside a stack that was brought up without"
        )
    if settings.connectors:  # a mistake in it is told now, not in a log
        config.read(Path(settings.connectors), known)
    stack = Stack(settings, search)
    stack.start(report)
    try:
        if steps := migrate.apply(stack.postgres):
            report(f"brought the database up to {steps[-1]} ({len(steps)} migrations)")
        if topics := create_topics(stack.connected(), known):
            report(f"made {len(topics)} topics (`sentinel topics` lists them)")
        if schemas := register(stack.connected()):
            report(f"registered schemas: {', '.join(schemas)}")
        token = ensure_token(stack.home)
        report(f"starting the workers, which load all rules, and the API (token: {shown(token)})")
        port = _api_port(stack, report)
        workers = [_worker(stack, name, stages) for name, stages in WORKERS.items()]
        if settings.connectors:
            workers.append(_inputs(stack))
        stack.add(*workers, _api(stack, port))
        shows = {worker.name: stack.identity.ports[worker.name] for worker in workers}
        stack.note(api=f"http://{HOST}:{port}", metrics=shows, up=True)
    except BaseException:  # an interrupt too must leave nothing running
        stack.stop()
        raise
    return stack


def foreground(
    settings: Settings, search: bool, work: Callable[[Stack, str, Report], object]
) -> None:
    """Bring everything up, say where it is, do `work` until Ctrl-C, and stop all in order.

    Parameters
    ----------
    work
        Called with the stack, the API's address and what reports progress.

    Raises
    ------
    StackError
        Interrupted before all was up; all is stopped.
    """
    began = time.monotonic()

    def report(message: str) -> None:
        _common.note(f"{time.monotonic() - began:6.1f} s  {message}")

    asked = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        asked.set()
        raise KeyboardInterrupt

    # `sentinel down` and a closed terminal end it as Ctrl-C does
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, stop)
    try:
        stack = bring_up(settings, report, search=search)
        if asked.is_set():  # some library's import or clean-up swallowed it
            with stack:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        raise StackError("interrupted while it started: all is stopped") from None
    with stack:
        try:
            api = find(stack.settings, "api").api
            _common.note("\n" + summary(stack, api))
            work(stack, api, report)
        except KeyboardInterrupt:
            pass
        report("stopping")
    report("stopped")


def summary(stack: Stack, api: str) -> str:
    """Return what to tell a person once everything is up."""
    secret = stack.home / ADMIN_SECRET
    # as it has to be typed here: without an activated environment it is not on the path
    sentinel = "sentinel" if which("sentinel") else shown(Path(sys.executable).parent / "sentinel")
    first = FIRST.format(secret=shown(secret), sentinel=sentinel) if secret.exists() else ""
    return SUMMARY.format(
        sentinel=sentinel,
        home=shown(stack.home),
        api=api,
        token=shown(ensure_token(stack.home)),
        kafka=stack.kafka,
        postgres=_common.without_password(stack.postgres),
        logs=shown(stack.home / "logs"),
        first=first,
    )


def shown(path: Path) -> str:
    """Return a path as a person would type it from here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _api_port(stack: Stack, report: Report) -> int:
    """Return the port of the API: that of the settings, or one of our own if it is taken.

    Raises
    ------
    SettingsError
        The API is to be reachable from elsewhere, where its port cannot be chosen here.
    """
    wanted, own = stack.settings.api_port, stack.identity.ports["api"]
    if wanted == 0:
        return own
    if not listens(wanted):
        return wanted
    if stack.settings.api_host != HOST:
        raise SettingsError(
            f"SENTINEL_API_PORT: expected a free port, found {wanted} in use: set another"
        )
    report(f"port {wanted} is in use: the API takes {own}")
    return own


def _command(name: str) -> list[str]:
    return [*SENTINEL, name]


def _worker(stack: Stack, name: str, stages: Sequence[str]) -> Service:
    port = stack.identity.ports[name]
    return Service(
        name=name,
        command=[*_command("worker"), *(f"--stage={stage}" for stage in stages)],
        ready=lambda: healthy(port),
        env=environment_for_children() | stack.env() | {"SENTINEL_METRICS_PORT": str(port)},
        start_s=START_S,
        stop_s=30.0,
    )


def _inputs(stack: Stack) -> Service:
    """Return what reads the configured inputs; one that fails must not hold up the rest."""
    port = stack.identity.ports["connectors"]
    return Service(
        name="connectors",
        command=[*_command("connector"), "run"],
        ready=lambda: listens(port),
        # All variables: the file of inputs names those of secrets, clouds' libraries have more.
        env=dict(os.environ) | stack.env() | {"SENTINEL_METRICS_PORT": str(port)},
        start_s=START_S,
        stop_s=30.0,
    )


def _api(stack: Stack, port: int) -> Service:
    where = {"SENTINEL_API_PORT": str(port), "SENTINEL_API_URL": f"http://{HOST}:{port}"}
    return Service(
        name="api",
        command=_command("api"),
        ready=lambda: healthy(port),
        env=environment_for_children() | stack.env() | where,
        start_s=START_S,
    )
