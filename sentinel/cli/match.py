"""Match logs against a directory of Sigma rules; needs no broker."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import orjson
import typer

from connectors._json.decoder import texts
from connectors.base import Summary
from detectors.correlation.extract import fields
from detectors.match import Matcher, dict_getter
from detectors.sigma import RuleSet
from schemas.identity import uid_text
from sentinel.cli import _common, _offline
from sentinel.cli._common import JsonOption
from sentinel.cli._lists import options
from sentinel.cli._offline import Problems
from sentinel.cli._rules.stories import Known, Stories
from sentinel.errors import DecodeError, RecordError, RuleError
from sentinel.reading import Reader

#: Any JSON objects, in the rules' own field names.
ANY_JSON = "json"

#: Where objects of an unknown source carry an id of their own, most specific first.
ID_FIELDS = ("eventID", "event_id", "EventRecordID", "_id", "uid", "uuid", "id")

#: Events matched together.
BATCH = 2000


class Event(NamedTuple):
    """A decoded event and what identifies it."""

    place: str
    uid: bytes
    summary: Summary | None
    decoded: Any
    native_id: str | None

    @property
    def known(self) -> Known:
        """What correlations need of it; events of no source have no summary, and no time."""
        if self.summary is None:
            raise TypeError(f"{self.place}: expected an event of a source, found any object")
        return self.uid, self.summary, self.decoded


def command(
    paths: Annotated[list[str], typer.Argument(help="Files, directories, or - for stdin.")],
    source: Annotated[
        str,
        typer.Option(
            help="Name of the source, or json: any objects, every rule.",
            autocompletion=options.sources,
        ),
    ],
    rules: Annotated[list[Path], typer.Option(help="Directory of Sigma rules; may be repeated.")],
    json: JsonOption = False,
) -> None:
    """Print one line per match: JSON objects {rule_id, event_uid, source_uid} with --json."""
    ruleset = _load(rules)
    reader, problems = Reader(paths), Problems()
    matcher, events, stories = _source(source, ruleset, reader, problems)
    read = matches = failures = 0
    for batch in _batches(events):
        read += len(batch)
        found = matcher.match([event.decoded for event in batch])
        if stories is not None:
            found = stories.take([event.known for event in batch], found)
        matches += len(found)
        failures += len(matcher.errors)
        rows = [
            {
                "rule_id": rule.id,
                "event_uid": uid_text(batch[row].uid),
                "source_uid": batch[row].native_id,
            }
            for row, rule in found
        ]
        if json:
            _common.print_json(*rows)
        else:
            for row, rule in found:
                typer.echo(f"{batch[row].native_id or batch[row].place}\t{rule.title}")
    alerts = stories.alerts() if stories is not None else []
    _tell(alerts, json=json)
    unsupported = ruleset.unsupported
    for each in unsupported[: _offline.NAMED]:
        _common.note(f"{each.path}:{each.line}: {each.reason}")
    done = (
        f"{read} events read, {len(matcher.rules)} of {len(ruleset.rules)} rules apply "
        f"({len(unsupported)} unsupported), {matches} matches"
    )
    if ruleset.plan.trees:
        done += f", {len(alerts)} alert(s) of {len(ruleset.plan.trees)} correlations"
        if stories is None:
            done += " (they need times: name the source)"
    if len(unsupported) > _offline.NAMED:
        done += f"; `sentinel rules check {rules[0]}` names all that is unsupported"
    if failures:
        done += f"; {failures} times a rule failed on an event"
    _offline.report(reader, problems, read, done)


def _load(dirs: Sequence[Path]) -> RuleSet:
    ruleset = RuleSet.load(dirs, cache=_common.settings().home / "cache")
    if not ruleset.rules:
        places = ", ".join(map(str, dirs))
        bad = ruleset.unsupported[: _offline.NAMED]
        reasons = "; ".join(f"{each.path}:{each.line}: {each.reason}" for each in bad)
        found = f"found none that runs; {reasons}" if bad else "found no .yml file with one"
        raise RuleError(f"expected Sigma rules in {places}, {found}")
    return ruleset


def _source(
    source: str, ruleset: RuleSet, reader: Reader, problems: Problems
) -> tuple[Matcher, Iterator[Event], Stories | None]:
    """Return the matcher of the rules that apply, the events, and what correlates them."""
    if source == ANY_JSON:
        matcher = Matcher(ruleset.rules, dict_getter, _text, raw=attrgetter("raw"))
        return matcher, _decoded(reader, _objects, problems), None
    connector = _offline.connector(source)
    chosen = ruleset.select(connector.logsources)
    grouped = fields(ruleset.plan, chosen.rules)
    decoder = connector.decoder(grouped.union(*(rule.fields for rule in chosen.rules)))
    matcher = chosen.reading(decoder)

    def decode(place: str, raw: bytes) -> Event:
        decoded = decoder.decode(raw)
        summary = connector.summarise(decoded)
        uid = _offline.uid_of(source, summary.native_id, place)
        return Event(place, uid, summary, decoded, summary.native_id)

    events = _decoded(_offline.units(reader, connector, problems), decode, problems)
    return matcher, events, Stories(source, chosen, decoder.getter)


def _tell(alerts: Sequence[dict[str, Any]], *, json: bool) -> None:
    """Print the alerts of correlations."""
    for alert in alerts:
        told = orjson.loads(alert["explanation"])
        if json:
            # the keys of a match first: its event is the last one, all of them are in `events`
            events = told["events"]
            row = {"rule_id": alert["rule_id"], "event_uid": events[-1] if events else None}
            row |= {"source_uid": None, "alert_id": alert["id"], "what": told["what"]}
            _common.print_json(row | {"events": events, "count": alert["count"]})
        else:
            typer.echo(told["what"])


class _Object(dict[str, Any]):
    """A decoded JSON object and its text."""

    raw: bytes


def _text(event: _Object) -> str:
    """Return every value of an event, one a line: where keywords are searched."""
    return "\n".join(texts(event.raw))


def _objects(place: str, raw: bytes) -> Event:
    try:
        read = orjson.loads(raw)
    except ValueError as error:
        raise DecodeError("json", f"expected a JSON object, found: {error}") from error
    if not isinstance(read, dict):
        kind = type(read).__name__
        raise DecodeError("wrong_type", f"expected a JSON object, found a {kind}")
    decoded = _Object(read)
    decoded.raw = raw
    content = raw.decode(errors="replace")
    own = next((decoded[name] for name in ID_FIELDS if decoded.get(name)), None)
    native_id = str(own) if isinstance(own, str | int) else None
    return Event(place, _offline.uid_of(ANY_JSON, content, place), None, decoded, native_id)


def _decoded(
    raws: Iterable[tuple[str, bytes]], decode: Callable[[str, bytes], Event], problems: Problems
) -> Iterator[Event]:
    for place, raw in raws:
        try:
            yield decode(place, raw)
        except RecordError as error:
            problems.add(place, error)


def _batches(events: Iterator[Event]) -> Iterator[list[Event]]:
    while batch := list(islice(events, BATCH)):
        yield batch
