"""What every connector owes the pipeline, checked over all that are discovered.

A connector passes with no line added here: its class is found in ``connectors``, its
golden pairs in ``tests/connectors/golden/<name>``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import connectors
from connectors import _golden
from connectors.base import Connector, LogSource, Summary
from schemas.batch import Strings
from schemas.ocsf import status_name, validate
from sentinel.errors import RecordError
from sentinel.registry import discover

GOLDEN = Path(__file__).parent / "connectors" / "golden"
CONNECTORS = discover(connectors, Connector)
LARGE = 10_000_000
quick = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def golden() -> list[Any]:
    """Return every golden pair of every connector as a test parameter."""
    return [
        pytest.param(name, raw, expected, id=f"{name}: {raw.name.partition('.')[0]}")
        for name in CONNECTORS
        for raw, expected in _golden.cases(GOLDEN, name)
    ]


@pytest.fixture(params=sorted(CONNECTORS))
def name(request: pytest.FixtureRequest) -> str:
    """Run the test once for every connector."""
    return str(request.param)


@pytest.fixture
def connector(name: str) -> Connector:
    """Return a new connector."""
    return CONNECTORS[name]()


def samples(name: str) -> list[bytes]:
    """Return the raw side of all golden pairs of a connector."""
    return [raw.read_bytes() for raw, _ in _golden.cases(GOLDEN, name)]


def units_of(connector: Connector, value: bytes) -> list[bytes]:
    """Return the events in a message; a message that cannot be cut up has none."""
    try:
        units = list(connector.split(value))
        assembler = connector.assembler()
        if assembler is not None:
            units = [*assembler.feed(units, 0), *assembler.flush()]
    except RecordError as error:
        assert_reason(error)
        return []
    return units


def assert_reason(error: RecordError) -> None:
    """Check that a dead letter's reason fits a metric label, and its detail a header."""
    assert error.reason
    assert error.reason == error.reason.lower()
    assert " " not in error.reason
    assert 10 < len(error.detail) < 2_000


def take(connector: Connector, value: bytes, fields: frozenset[str] = frozenset()) -> int:
    """Put a message through; return how many events were accepted, all of them checked."""
    decoder = connector.decoder(fields)
    accepted = 0
    for unit in units_of(connector, value):
        try:
            summary = connector.summarise(decoder.decode(unit))
        except RecordError as error:
            assert_reason(error)
            with pytest.raises(RecordError):
                connector.to_ocsf(unit)
            continue
        accepted += 1
        assert_agree(summary, connector.to_ocsf(unit))
    return accepted


def assert_agree(summary: Summary, event: dict[str, Any]) -> None:
    """Check that an OCSF event is valid and says what the summary says."""
    assert validate(event) == []
    found = {key: event.get(key) for key in ("class_uid", "activity_id", "time", "severity_id")}
    assert found == {key: getattr(summary, key) for key in found}
    assert event.get("status_id", 0) == summary.status_id
    assert event.get("status", "Unknown") == status_name(summary.class_uid, summary.status_id)
    assert event["metadata"].get("uid") == summary.native_id
    assert all(isinstance(text, str) for text in summary[6:])
    json.dumps(event, allow_nan=False)


@pytest.mark.parametrize(("name", "raw", "expected"), golden())
def test_golden_pair(name: str, raw: Path, expected: Path) -> None:
    """``python -m connectors golden`` rewrites the expected files."""
    found = _golden.events(CONNECTORS[name](), raw.read_bytes())

    assert json.loads(_golden.dump(found)) == json.loads(expected.read_bytes())


@pytest.mark.parametrize(("name", "raw", "expected"), golden())
def test_golden_event_is_valid_and_agrees_with_its_summary(
    name: str, raw: Path, expected: Path
) -> None:
    assert take(CONNECTORS[name](), raw.read_bytes()) == len(json.loads(expected.read_bytes())) > 0


def test_has_golden_pairs_and_log_sources_and_a_docstring(name: str, connector: Connector) -> None:
    assert len(samples(name)) >= 8
    assert connector.logsources
    assert all(isinstance(source, LogSource) and any(source) for source in connector.logsources)
    assert (type(connector).__doc__ or "").strip()


def test_any_bytes_give_events_or_a_record_error(connector: Connector) -> None:
    @quick
    @given(st.binary(max_size=300))
    def check(value: bytes) -> None:
        take(connector, value)

    check()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


def test_any_json_gives_events_or_a_record_error(connector: Connector) -> None:
    @quick
    @given(JSON)
    def check(value: Any) -> None:
        take(connector, json.dumps(value).encode())

    check()


def test_damaged_message_gives_events_or_a_record_error(name: str, connector: Connector) -> None:
    """Real shapes with bytes cut out, put in, or cut off: what a broken pipe leaves."""
    seeds = samples(name)
    noise = st.sampled_from([b"", b"\0", b"\xff", b'"', b"{", b"\n", b"=", b"9" * 30, b"\xed\xa0"])

    @quick
    @given(st.sampled_from(seeds), st.floats(0, 1), st.integers(0, 40), noise)
    def check(seed: bytes, place: float, width: int, put: bytes) -> None:
        at = int(place * len(seed))
        take(connector, seed[:at] + put + seed[at + width :])
        take(connector, seed[:at])

    check()


def branches(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every field in a JSON object."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key)
            yield from branches(item, (*path, key))


def replaced(value: dict[str, Any], path: tuple[str, ...], new: Any) -> dict[str, Any]:
    """Return `value` with `path` set to `new`, or without it where `new` is ``...``."""
    head, *rest = path
    copy = dict(value)
    if rest:
        copy[head] = replaced(copy[head], tuple(rest), new)
    elif new is ...:
        del copy[head]
    else:
        copy[head] = new
    return copy


def test_missing_and_retyped_fields_survive(name: str, connector: Connector) -> None:
    """Sources of JSON change the type of a field from one event to the next."""
    seeds = [json.loads(seed) for seed in samples(name) if seed.lstrip().startswith(b"{")]
    if not seeds:
        pytest.skip("this source does not write JSON")
    every = [(seed, path) for seed in seeds for path in branches(seed)]

    @settings(quick, max_examples=600)
    @given(st.sampled_from(every), JSON | st.just(...))
    def check(place: tuple[dict[str, Any], tuple[str, ...]], new: Any) -> None:
        take(connector, json.dumps(replaced(*place, new)).encode())

    check()


def test_order_of_fields_does_not_matter(name: str, connector: Connector) -> None:
    for seed in samples(name):
        if seed.lstrip().startswith(b"{"):
            record = json.loads(seed)
            turned = json.dumps(dict(reversed(record.items()))).encode()
            assert _golden.events(connector, turned) == _golden.events(connector, seed)


def test_fields_that_rules_want_change_no_summary(name: str, connector: Connector) -> None:
    """Decoding more for a rule, whole objects included, must not change the columns."""
    for seed in samples(name):
        for unit in units_of(connector, seed):
            few = connector.decoder(frozenset())
            wanted = frozenset({"a", "a.b", "@x", "0"})
            if unit.lstrip().startswith(b"{"):
                wanted |= {".".join(path) for path in branches(json.loads(unit))}
            many = connector.decoder(wanted)
            assert connector.summarise(many.decode(unit)) == connector.summarise(few.decode(unit))


def test_many_at_once_are_what_each_is_alone(name: str, connector: Connector) -> None:
    units = [unit for seed in samples(name) for unit in units_of(connector, seed)]
    decoder = connector.decoder(frozenset())
    alone = [connector.summarise(decoder.decode(unit)) for unit in units]

    columns = [
        [column.at(row) for row in range(len(units))] if isinstance(column, Strings) else column
        for column in connector.columns(connector.decode_all(decoder, units))
    ]

    assert [tuple(column) for column in columns] == list(zip(*alone, strict=True))


@pytest.mark.parametrize("junk", [b"\xff", b"\0", b"[" * 10_000, b"", b"a" * LARGE], ids=len)
def test_many_at_once_refuse_what_one_alone_refuses(
    name: str, connector: Connector, junk: bytes
) -> None:
    good = units_of(connector, samples(name)[0])[0]
    bad = good[:-1] + b',"x":"' + junk + b'"' if good.startswith(b"{") else junk
    decoder = connector.decoder(frozenset())
    with pytest.raises(RecordError):
        connector.summarise(decoder.decode(bad))

    with pytest.raises((RecordError, ValueError, RecursionError)):
        connector.columns(connector.decode_all(decoder, [good, bad, good]))


POISON = {
    "empty": b"",
    "white space": b" \n\t ",
    "truncated JSON": b'{"eventName": "Conso',
    "NUL": b'{"eventName":\0"x"}',
    "nothing but NUL": b"\0" * 64,
    "invalid UTF-8": b'{"eventName":"\xff\xfe"}',
    "lone surrogate": b'{"eventName":"\\ud800"}',
    "number": b"1e999",
    "null": b"null",
    "deep list": b"[" * 10_000 + b"]" * 10_000,
    "deep object": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "10 MB of text": b"a" * LARGE,
    "10 MB of JSON": b'{"eventName":"' + b"a" * LARGE + b'"}',
    "10 MB of lines": b"\n" * LARGE,
}


@pytest.mark.parametrize("value", POISON.values(), ids=POISON.keys())
def test_poison_is_refused(connector: Connector, value: bytes) -> None:
    assert take(connector, value) == 0


@pytest.mark.parametrize("junk", [b"\xff", b"\0", b"[" * 10_000, b"1e999", b"\\ud800"], ids=repr)
def test_poison_inside_a_good_event_never_crashes(
    name: str, connector: Connector, junk: bytes
) -> None:
    for seed in samples(name):
        at = len(seed) // 2
        take(connector, seed[:at] + junk + seed[at:])
        if seed.lstrip().startswith(b"{"):
            inside = seed.rstrip()[:-1] + b',"extra":' + junk + b"}"
            take(connector, inside)
            take(connector, seed.rstrip()[:-1] + b',"extra":"' + junk + b'"}')
