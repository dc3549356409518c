"""Print logs as OCSF events, one JSON object a line; needs no broker."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from connectors.base import Connector, Decoder
from schemas.identity import uid_text
from sentinel.cli import _common, _offline
from sentinel.cli._offline import Problems, Unit
from sentinel.errors import RecordError
from sentinel.reading import Reader


def command(
    paths: Annotated[list[str], typer.Argument(help="Files, directories, or - for stdin.")],
    source: Annotated[str, typer.Option(help="Name of the connector, e.g. cloudtrail.")],
) -> None:
    """Normalize logs; what cannot be is counted on stderr, by reason.

    ``metadata.uid`` is the event's id as the stream would give it where the source has no
    own id for events, else the source's own.
    """
    connector = _offline.connector(source)
    decoder = connector.decoder(frozenset())
    reader, problems = Reader(paths, cut=connector.records), Problems()
    read = 0
    for unit in _offline.units(reader, connector, problems):
        try:
            event = _ocsf(connector, decoder, source, unit)
        except RecordError as error:
            problems.add(unit.place, error)
            continue
        _common.print_json(event)
        read += 1
    _offline.report(reader, problems, read, f"{read} events normalized")


def _ocsf(connector: Connector, decoder: Decoder, source: str, unit: Unit) -> dict[str, Any]:
    connector.summarise(decoder.decode(unit.raw))  # refuses what the stream would refuse
    event = connector.to_ocsf(unit.raw)
    metadata = event.setdefault("metadata", {})
    metadata["tenant_uid"] = _offline.TENANT
    if not metadata.get("uid"):
        metadata["uid"] = uid_text(_offline.uid_of(source, None, unit.place))
    return event
