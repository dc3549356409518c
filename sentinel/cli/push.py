"""Send logs to a source's topic: files, directories, or - for standard input."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import IO, Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from connectors._findings.connector import ScannerConnector
from connectors._sources import sources
from connectors.base import Connector
from sentinel import local, reading, topics
from sentinel.cli import _common, _offline
from sentinel.cli._common import JsonOption
from sentinel.cli._lists import options
from sentinel.errors import KafkaError, SettingsError
from sentinel.kafka import Producer, reach
from sentinel.reading import RawRecord
from sentinel.settings import Settings
from streams.runtime import progress
from streams.runtime.checkpoint import Store

#: Messages between two looks at the clock.
PACE = 200
#: `--wait` gives up when nothing has moved for this long.
STALLED_S = 120.0
#: Longest scope of a scan, in characters; as what the API takes to filter by.
SCOPE_LENGTH = 512
#: Cuts an unpacked stream into messages, given when it was written (ms since the epoch).
Cut = Callable[[IO[bytes], int | None], Iterator[bytes]]


def command(
    paths: Annotated[list[str], typer.Argument(help="Files, directories, or - for stdin.")],
    source: options.Source,
    tenant: options.Tenant = "default",
    scope: Annotated[
        str,
        typer.Option(
            help="Part of the target that the scan covered, e.g. namespace/shop; of scanners. "
            "It resolves only what scans of this part found."
        ),
    ] = "",
    rate: Annotated[float, typer.Option(min=0, help="Events per second; 0: no limit.")] = 0,
    wait: Annotated[bool, typer.Option(help="Return when all has reached the sinks.")] = False,
    json: JsonOption = False,
) -> None:
    """Push logs; the broker has them all when this returns."""
    connector = _offline.connector(source)
    cut = _cut(connector, source, scope)
    settings = local.connect(_common.settings())
    started = time.monotonic()
    if topics.raw(source) not in reach(settings).topics:
        raise KafkaError(
            f"expected the topic {topics.raw(source)}, the broker has none; "
            "make it with `sentinel topics create`"
        )
    with _bar() as bar:
        count = _send(settings, connector, source, cut, paths, tenant, rate, bar)
    if not count:
        raise SettingsError(f"expected records in {', '.join(paths)}, found none")
    if wait:
        asyncio.run(_wait(settings))
    seconds = round(time.monotonic() - started, 3)
    if json:
        _common.print_json({"source": source, "pushed": count, "seconds": seconds, "waited": wait})
    else:
        done = "and all of it reached the sinks" if wait else "the broker has it"
        _common.note(f"{count} records pushed to {topics.raw(source)} in {seconds} s, {done}")


def _cut(connector: Connector, source: str, scope: str) -> Cut:
    """Return what cuts files into messages; SettingsError for a scope of what is no scan."""
    if not scope:
        return connector.records
    if not isinstance(connector, ScannerConnector):
        found = sources(_common.settings()).items()
        scanners = ", ".join(name for name, kind in found if issubclass(kind, ScannerConnector))
        raise SettingsError(
            f"expected --scope with a scanner as --source ({scanners}), found {source!r}, "
            "whose events are of no scan; leave --scope out"
        )
    if len(scope) > SCOPE_LENGTH or not scope.isprintable():
        raise SettingsError(
            f"expected --scope of at most {SCOPE_LENGTH} printable characters, such as "
            f"namespace/shop; found {len(scope)}: {scope[:40]!r}"
        )
    return partial(connector.records, scope=scope)


def _bar() -> Progress:
    """Return a progress bar on stderr."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}"),
        TimeElapsedColumn(),
        console=_common.progress_console,
        transient=True,
    )


def _send(
    settings: Settings,
    connector: Connector,
    source: str,
    cut: Cut,
    paths: list[str],
    tenant: str,
    rate: float,
    bar: Progress,
) -> int:
    """Produce every record; return how many there were."""
    headers = {"tenant": tenant} if tenant != "default" else None
    topic = topics.raw(source)
    task = bar.add_task(f"pushing to {topic}", total=None)
    count = 0
    with Producer(settings) as producer:
        reader = reading.Reader(paths, cut=cut)
        for _, raw in _paced(reader, rate):
            producer.send(topic, raw, key=connector.partition_key(raw), headers=headers)
            count += 1
            if count % PACE == 0:
                bar.update(task, completed=count)
        bar.update(task, completed=count, description="waiting for the broker")
    if reader.unreadable:
        listed = "; ".join(f"{path}: {reason}" for path, reason in reader.unreadable)
        raise SettingsError(f"expected readable files, found {listed}; records pushed: {count}")
    return count


def _paced(records: Iterable[RawRecord], rate: float) -> Iterator[RawRecord]:
    """Yield no faster than `rate` a second."""
    started = time.monotonic()
    for count, record in enumerate(records):
        if rate:
            ahead = count / rate - (time.monotonic() - started)
            if ahead > 0:
                time.sleep(ahead)
        yield record


async def _wait(settings: Settings) -> None:
    """Return when every stage has handled all there is."""
    store = await Store.connect(settings.postgres)
    try:
        with _common.progress_console.status("waiting for the sinks"):
            await _until_drained(settings, store)
    finally:
        await store.close()


async def _until_drained(settings: Settings, store: Store) -> None:
    """Poll until drained; give up when nothing moves any more."""
    before, moved = None, time.monotonic()
    while not await progress.drained(settings, store):
        behind, _ = await progress.read(settings, store)
        if behind != before:
            before, moved = behind, time.monotonic()
        elif time.monotonic() - moved > STALLED_S:
            stuck = sorted({f"{lag.stage} on {lag.topic}" for lag in behind if lag.records})
            raise KafkaError(
                f"expected progress within {STALLED_S:.0f} s, found none in {', '.join(stuck)}; "
                "is a worker running (`sentinel status`)?"
            )
        await asyncio.sleep(0.1)
