"""Print logs as OCSF events, one JSON object a line; needs no broker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from connectors.base import Connector, Decoder
from schemas.identity import uid_text
from sentinel.cli import _common, _offline
from sentinel.cli._common import JsonOption
from sentinel.cli._coverage import STATES, Coverage, Field
from sentinel.cli._lists import options
from sentinel.cli._offline import Problems, Unit
from sentinel.errors import RecordError, SettingsError
from sentinel.reading import Reader


def command(
    paths: Annotated[list[str], typer.Argument(help="Files, directories, or - for stdin.")],
    source: options.Source,
    coverage: Annotated[
        bool,
        typer.Option("--coverage", help="List the fields instead: used, left over, never there."),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Normalize logs; what cannot be is counted on stderr, by reason.

    ``metadata.uid`` is the event's id as the stream would give it where the source has no
    own id for events, else the source's own. Events are JSON with or without ``--json``;
    with ``--coverage`` it asks for the list of fields as JSON.
    """
    connector = _offline.connector(source)
    decoder = connector.decoder(frozenset())
    reader, problems = Reader(paths, cut=connector.records), Problems()
    fields = Coverage(connector) if coverage else None
    look_up = _look_ups()
    read = 0
    for unit in _offline.units(reader, connector, problems):
        try:
            event = _ocsf(connector, decoder, source, unit)
        except RecordError as error:
            problems.add(unit.place, error)
            continue
        read += 1
        if fields is None:
            _common.print_json(look_up(event))
        else:
            fields.add(unit.raw, event)
    if fields is not None:
        _show(fields, json)
    _offline.report(reader, problems, read, f"{read} events normalized")


def _look_ups() -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return what adds what is known of an event's addresses and names, where that is set."""
    found = _common.settings().intel
    if not found:
        return lambda event: event
    from detectors.enrich import folder
    from detectors.enrich.enricher import Enricher
    from detectors.enrich.event import enrich

    enricher = Enricher(folder.load(Path(found))[0])
    return lambda event: enrich(event, enricher)


def _show(coverage: Coverage, json: bool) -> None:
    """Print what became of each field.

    Raises
    ------
    SettingsError
        None of the events is a JSON object.
    """
    if not coverage.events:
        raise SettingsError(
            "expected events that are JSON objects, found none: they have no fields"
        )
    rows = coverage.rows()
    if json:
        _common.print_json(*(row._asdict() for row in rows))
        return
    _common.print_table(f"Fields of {coverage.events} events", Field._fields, rows)
    count = Counter(row.state for row in rows)
    _common.note(", ".join(f"{count[state]} {state}" for state in STATES))
    if coverage.cut:
        _common.note(f"{coverage.cut} events had more left over than is kept: counted as mapped")


def _ocsf(connector: Connector, decoder: Decoder, source: str, unit: Unit) -> dict[str, Any]:
    connector.summarise(decoder.decode(unit.raw))  # refuses what the stream would refuse
    event = connector.to_ocsf(unit.raw)
    metadata = event.setdefault("metadata", {})
    metadata["tenant_uid"] = _offline.TENANT
    if not metadata.get("uid"):
        metadata["uid"] = uid_text(_offline.uid_of(source, None, unit.place))
    return event
