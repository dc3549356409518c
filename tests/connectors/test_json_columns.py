"""JSON sources: columns of many events at once are the summaries of each."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import connectors
from connectors._json import memo
from connectors._json.connector import JsonConnector
from connectors._json.decoder import View
from connectors.base import Connector, Summary
from connectors.okta import Okta
from schemas.batch import Strings
from sentinel.errors import RecordError
from sentinel.registry import discover

GOLDEN = Path(__file__).parent / "golden"
SOURCES: dict[str, JsonConnector] = {
    name: made
    for name, kind in discover(connectors, Connector).items()  # type: ignore[type-abstract]
    if isinstance(made := kind(), JsonConnector) and (made.own or made.times)
}


def golden(name: str, connector: JsonConnector) -> list[Any]:
    """Return the golden events that are JSON objects and can be mapped."""
    return [
        orjson.loads(unit)
        for path in sorted((GOLDEN / name).glob("*.raw.*"))
        for unit in connector.split(path.read_bytes())
        if mapped(connector, unit) is not None
    ]


def mapped(connector: JsonConnector, unit: bytes) -> Summary | None:
    try:
        return connector.summarise(connector.decoder(frozenset()).decode(unit))
    except RecordError:
        return None


def put(event: Any, path: str, value: Any) -> None:
    *way, last = path.split(".")
    for name in way:
        if not isinstance(event.get(name), dict):
            event[name] = {}
        event = event[name]
    event[last] = value


def get(event: Any, path: str) -> Any:
    for name in path.split("."):
        event = event.get(name) if isinstance(event, dict) else None
    return event


def listed(column: Any) -> list[Any]:
    if isinstance(column, Strings):
        return [column.at(row) for row in range(len(column.index))]
    return np.asarray(column).tolist() if isinstance(column, np.ndarray) else list(column)


def compare(connector: JsonConnector, units: list[bytes]) -> None:
    decoder = connector.decoder(frozenset())
    wanted = [connector.summarise(decoder.decode(unit)) for unit in units]
    for _ in range(2):  # the second time, everything has been met
        found = connector.columns(connector.decode_all(decoder, units))
        assert list(zip(*map(listed, found), strict=True)) == [tuple(each) for each in wanted]


@pytest.mark.parametrize("name", SOURCES)
def test_only_id_and_time_are_made_of_what_is_own(name: str) -> None:
    """Events with the ids and times of others keep all else, as if each were looked at alone."""
    connector = SOURCES[name]
    own = connector.own or {*connector.idents, *connector.times}
    events = golden(name, connector)
    assert events
    units = []
    for event, other in product(events, events[:4]):
        copy = orjson.loads(orjson.dumps(event))
        for path in own:
            if (value := get(other, path)) is not None:
                put(copy, path, value)
        units.append(orjson.dumps(copy))
    compare(connector, [unit for unit in units if mapped(connector, unit) is not None])
    assert own <= connector.reads | connector.looks_into | connector.required.keys()


VALUES = st.sampled_from([None, True, False, 1, 0, 1.0, "", "1", "INFO", "DENY", ["x"], {"a": 1}])


@given(st.lists(st.lists(VALUES, min_size=5, max_size=5), min_size=1, max_size=8))
def test_values_that_python_takes_for_equal_are_told_apart(made: list[list[Any]]) -> None:
    paths = ("severity", "outcome.result", "actor.id", "client.ipAddress", "uuid")
    units = []
    for values in made:
        event = {"published": "2024-05-01T12:00:00Z", "eventType": "user.session.start"}
        for path, value in zip(paths, values, strict=True):
            put(event, path, value)
        units.append(orjson.dumps(event))
    compare(OKTA, units)


OKTA = Okta()


def test_a_memo_rests_where_nothing_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memo, "JUDGED", 100)
    monkeypatch.setattr(memo, "REST", 300)
    connector, asked = Okta(), list[str]()
    inner = Okta.columns_of

    def noted(self: Okta, event: View) -> Summary:
        asked.append(event.text("uuid"))
        return inner(self, event)

    monkeypatch.setattr(Okta, "columns_of", noted)
    made = 0

    def feed(rounds: int, alike: bool) -> list[int]:
        nonlocal made
        counts = []
        for _ in range(rounds):
            units = []
            for _ in range(50):
                made += 1
                event = {"published": "2024-05-01T12:00:00Z", "eventType": "a", "uuid": str(made)}
                units.append(orjson.dumps(event | ({} if alike else {"severity": str(made)})))
            asked.clear()
            found = connector.columns(connector.decode_all(decoder, units))
            assert listed(found[0])[-1] == str(made)
            counts.append(len(asked))
        return counts

    decoder = connector.decoder(frozenset())
    assert feed(3, alike=True) == [1, 0, 0]
    feed(4, alike=False)
    assert feed(4, alike=True) == [50, 50, 50, 50]
    assert feed(6, alike=True)[-1] == 0
