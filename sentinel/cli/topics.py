"""List the topics, or make those that are missing and bring their settings up to date."""

from __future__ import annotations

from collections.abc import Iterable

import typer

from connectors._sources import sources
from schemas import avro
from sentinel import local
from sentinel.cli import _common
from sentinel.cli._common import JsonOption
from sentinel.kafka import TopicState, create_topics, describe_topics
from sentinel.kafka.registry import schema_registry
from sentinel.settings import Settings

app = typer.Typer(help=__doc__, invoke_without_command=True)
_DAY_MS = 86_400_000


@app.callback()
def default(context: typer.Context, json: JsonOption = False) -> None:
    """List the topics where no sub-command is given."""
    if context.invoked_subcommand is None:
        show(json)


@app.command("list")
def show(json: JsonOption = False) -> None:
    """Show every topic: partitions, records kept, retention, key, writer and readers."""
    states = describe_topics(_settings(), _sources())
    if json:
        _common.print_json(*(state._asdict() for state in states))
        return
    columns = ("topic", "partitions", "records", "days kept", "key", "schema", "writer", "readers")
    _common.print_table("Topics", columns, (_row(state) for state in states))
    if missing := [state.name for state in states if not state.exists]:
        _common.note(f"missing: {', '.join(missing)}; `sentinel topics create` makes them")


@app.command()
def create(json: JsonOption = False) -> None:
    """Make missing topics, update the settings of the others, register the schemas."""
    settings = _settings()
    changed = create_topics(settings, _sources())
    registered = register(settings)
    if json:
        _common.print_json({"changed": changed, "schemas": registered})
        return
    _common.note(f"made or changed: {', '.join(changed) or 'nothing, all was right'}")
    if registered:
        _common.note(f"schemas registered: {', '.join(registered)}")


def _settings() -> Settings:
    return local.connect(_common.settings(), "kafka")


def _sources() -> Iterable[str]:
    return sorted(sources(_common.settings()))


def register(settings: Settings) -> dict[str, int]:
    """Register all schemas where a registry is set; return their ids."""
    registry = schema_registry(settings)
    if registry is None:
        return {}
    try:
        return {name: registry.register(name, avro.text(name)) for name in avro.names()}
    finally:
        registry.close()


def _row(state: TopicState) -> tuple[object, ...]:
    kept = sum(end - start for start, end in zip(state.start, state.end, strict=True))
    days = "for ever" if state.retention_ms < 0 else round(state.retention_ms / _DAY_MS, 2)
    partitions = state.partitions or "missing"
    readers = ", ".join(state.readers)
    return (state.name, partitions, kept, days, state.key, state.schema, state.writer, readers)
