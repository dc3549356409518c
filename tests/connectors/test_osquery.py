"""osquery: every shape of results, what a row is about, and Sigma's categories."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors._osquery.rows import about, table
from connectors.osquery import Osquery
from schemas.ocsf import validate
from sentinel.errors import MappingError

CONNECTOR = Osquery()
FRAME = {"hostIdentifier": "web-1", "unixTime": 1772442000, "name": "processes"}


def rows(record: dict[str, Any]) -> list[tuple[str, str]]:
    """Return activity and process of the events in a record, checked against the schema."""
    found = [CONNECTOR.to_ocsf(unit) for unit in CONNECTOR.split(json.dumps(record).encode())]
    assert [validate(event) for event in found] == [[]] * len(found)
    return [(event["activity_name"], event["process"]["cmd_line"]) for event in found]


def test_every_shape_of_results_gives_its_rows():
    a, b = ({"pid": pid, "cmdline": line} for pid, line in (("1", "a"), ("2", "b")))
    assert rows(FRAME | {"action": "added", "columns": a}) == [("Launch", "a")]
    assert [line for _, line in rows(FRAME | {"action": "snapshot", "columns": a})] == ["a"]
    seen = rows(FRAME | {"action": "snapshot", "snapshot": [a, b]})
    assert [line for _, line in seen] == ["a", "b"]
    assert "Launch" not in dict(seen), "what is there was not started now"
    assert rows(FRAME | {"diffResults": {"added": [a], "removed": [b]}}) == [
        ("Launch", "a"),
        ("Terminate", "b"),
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pack_incident-response_process_events", "process_events"),
        ("bpf_process_events", "bpf_process_events"),
        ("pack/ossec/users", "users"),
        ("superusers", ""),
        ("es_process_file_events_2", "es_process_file_events"),
    ],
)
def test_the_table_is_in_the_name_of_the_query(name, expected):
    assert table(name) == expected


def test_columns_tell_where_the_name_does_not():
    assert about("my_query", {"target_path": "/x"}) == "file"
    assert about("my_query", {"cmdline": "x", "pid": "1"}) == "process"
    assert about("my_query", {"x": 1}) == ""


def test_the_time_is_that_of_the_event_where_the_table_has_events():
    columns = {"pid": "1", "cmdline": "a", "time": "1772441000"}

    def when(**more: str) -> int:
        record = FRAME | {"action": "added", "columns": columns | more}
        return int(CONNECTOR.to_ocsf(json.dumps(record).encode())["time"])

    assert when(eid="1") == 1772441000000
    assert when() == 1772442000000


def test_a_record_of_neither_log_is_refused():
    with pytest.raises(MappingError, match="name of a query"):
        CONNECTOR.to_ocsf(b'{"unixTime": 1772442000}')


def test_rules_of_sigmas_categories_find_their_columns():
    columns = {"path": "/usr/bin/curl", "cmdline": "curl x", "pid": "1"}
    fields = frozenset({"@category", "process_creation.Image", "process_creation.CommandLine"})
    decoder = CONNECTOR.decoder(fields)
    found = decoder.decode(json.dumps(FRAME | {"action": "added", "columns": columns}).encode())
    assert [decoder.getter(field)(found) for field in sorted(fields)] == [
        "process_creation",
        "curl x",
        "/usr/bin/curl",
    ]
