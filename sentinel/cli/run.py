"""Start everything, stream the sample hour through it and show alerts as they fire."""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext
from typing import Annotated, Any

import httpx
import typer
from rich.live import Live
from rich.table import Table

import connectors
from connectors.base import Connector
from sentinel import topics
from sentinel.cli import _bringup, _common
from sentinel.kafka import Producer
from sentinel.local import Stack, home
from sentinel.registry import discover
from sentinel.sample.hour import simulate
from sentinel.settings import Settings

#: Alerts that the live table shows, the newest first.
ROWS = 18
POLL_S = 1.0


def command(
    rate: Annotated[float, typer.Option(help="Sample events per second.")] = 60,
    search: Annotated[bool, typer.Option("--search", help="Run Elasticsearch too.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the sample hour.")] = 7,
    seconds: Annotated[float, typer.Option(help="Stop by itself after this long; 0: never.")] = 0,
) -> None:
    """Start everything, stream the sample hour and show alerts until Ctrl-C."""
    _bringup.foreground(
        _common.settings(),
        search,
        lambda stack, api, report: _demonstrate(stack, api, report, seed, rate, seconds),
    )


def _demonstrate(
    stack: Stack, api: str, report: _bringup.Report, seed: int, rate: float, seconds: float
) -> None:
    """Stream the sample hour and show alerts, for `seconds` or until interrupted."""
    report(f"streaming the sample hour (seed {seed}), {rate:g} events a second")
    stop = threading.Event()
    sender = threading.Thread(
        target=_stream, args=(stack.connected(), seed, rate, stop), daemon=True
    )
    sender.start()
    try:
        _show(api, home.ensure_token(stack.home).read_text().strip(), report, seconds)
    finally:
        stop.set()
        sender.join(5)


def _stream(settings: Settings, seed: int, rate: float, stop: threading.Event) -> None:
    """Push the sample hour, as if it had ended just now."""
    sources = {
        name: cls()
        for name, cls in discover(connectors, Connector).items()  # type: ignore[type-abstract]
    }
    started = time.monotonic()
    with Producer(settings) as producer:
        for count, event in enumerate(simulate(seed, int(time.time()) - 3600)):
            if stop.wait(max(0.0, count / rate - (time.monotonic() - started))):
                break
            connector = sources[event.source]
            for raw in event.raw.splitlines():
                key = connector.partition_key(raw)
                producer.send(topics.raw(event.source), raw, key=key)


def _show(api: str, token: str, report: _bringup.Report, seconds: float) -> None:
    """Show the alerts of the API until interrupted: a live table, or lines where no one looks."""
    client = httpx.Client(base_url=api, headers={"Authorization": f"Bearer {token}"}, timeout=10)
    seen: dict[str, int] = {}
    began = time.monotonic()
    live = Live(_table([]), console=_common.console, auto_refresh=False)
    with client, live if _common.console.is_terminal else nullcontext():
        while not seconds or time.monotonic() - began < seconds:
            alerts = _latest(client)
            if alerts and not seen:
                report("first alert")
            if _common.console.is_terminal:
                live.update(_table(alerts), refresh=True)
            for alert in reversed(alerts):
                if not _common.console.is_terminal and alert["id"] not in seen:
                    _common.console.print(_line(alert), highlight=False)
                seen[alert["id"]] = alert["count"]
            time.sleep(POLL_S)


def _latest(client: httpx.Client) -> list[dict[str, Any]]:
    """Return the newest alerts; none while the API restarts."""
    try:
        answer = client.get("/v1/alerts", params={"limit": ROWS})
        answer.raise_for_status()
    except httpx.HTTPError:
        return []
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def _table(alerts: list[dict[str, Any]]) -> Table:
    table = Table(title="Alerts, newest first (Ctrl-C stops)", title_justify="left")
    for name in ("time", "severity", "score", "count", "what", "who", "ATT&CK"):
        table.add_column(name, overflow="fold" if name in ("what", "who") else "ellipsis")
    for alert in alerts:
        table.add_row(*_cells(alert), style=_common.SEVERITY_COLOURS.get(alert["severity"], ""))
    return table


def _cells(alert: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(alert["time"])[11:19],
        alert["severity"],
        f"{alert['score']:.2f}",
        str(alert["count"]),
        alert["title"],
        alert["entity"],
        " ".join(alert["techniques"]),
    )


def _line(alert: dict[str, Any]) -> str:
    return "  ".join(_cells(alert))
