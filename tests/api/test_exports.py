"""Exports hold everything that a search finds, whole, and are safe to open."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
import stix2
from hypothesis import given
from hypothesis import strategies as st

from api.exports import stix, text
from api.exports.report import Content, pdf
from sentinel.cli.export import counted

NASTY = '=HYPERLINK("https://example.com","x")'


async def export(client: Any, what: str, form: str, **params: Any) -> Any:
    answer = await client.get(f"/v1/exports/{what}", params={"format": form, **params})
    assert answer.status_code == 200, answer.text
    assert f"sentinel-{what}-" in answer.headers["content-disposition"]
    return answer


@pytest.fixture
async def rows(seed: Any) -> list[Any]:
    first = await seed.alert(title='a <b> & "c" 東京\x0b', entity=NASTY, techniques=["T1078"])
    return [first, await seed.alert(entity="ada", count=3, techniques=["T1078", "T1059.004"])]


async def test_json_and_lines_of_it_are_what_lists_send(client, rows, tenant) -> None:
    listed = (await client.get("/v1/alerts", params={"tenant": tenant})).json()["items"]
    found = await export(client, "alerts", "json", tenant=tenant)
    assert found.json() == listed
    assert found.headers["x-total-count"] == "2"
    lines = await export(client, "alerts", "jsonl", tenant=tenant)
    assert [json.loads(line) for line in lines.text.splitlines()] == listed
    none = await export(client, "alerts", "json", tenant=tenant, query="severity:low")
    assert none.json() == []


async def test_csv_has_a_row_each_and_nothing_that_a_spreadsheet_runs(client, rows, tenant) -> None:
    found = await export(client, "alerts", "csv", tenant=tenant)
    table = list(csv.DictReader(io.StringIO(found.text)))
    assert {row["id"] for row in table} == {row.id for row in rows}
    entities = {row["entity"] for row in table}
    assert entities == {"ada", f"'{NASTY}"}
    assert {row["count"] for row in table} == {"1", "3"}


async def test_xml_is_well_formed_whatever_it_holds(client, rows, seed, tenant) -> None:
    found = await export(client, "alerts", "xml", tenant=tenant)
    parsed = Xml.fromstring(found.content)
    assert {each.get("id") for each in parsed} == {row.id for row in rows}
    titles = {each.findtext("title") for each in parsed}
    assert 'a <b> & "c" 東京\ufffd' in titles
    await seed.event(raw=b'{"a": "\\u0001"}', ocsf=None)
    events = Xml.fromstring((await export(client, "events", "xml", tenant=tenant)).content)
    assert len(events) == 1


async def test_stix_is_valid_and_the_same_alert_is_the_same_object(client, rows, tenant) -> None:
    found = await export(client, "alerts", "stix", tenant=tenant)
    bundle = stix2.parse(found.text)
    kinds = [each.type for each in bundle.objects]
    assert kinds.count("sighting") == 2
    assert (kinds.count("indicator"), kinds.count("attack-pattern")) == (1, 2)
    ids = [each.id for each in bundle.objects]
    assert len(set(ids)) == len(ids)
    again = stix2.parse((await export(client, "alerts", "stix", tenant=tenant)).text)
    assert [each.id for each in again.objects] == ids


@pytest.fixture(scope="module")
def plain_alert() -> dict[str, Any]:
    return {
        "id": "6f1c2a36-3f6e-5f0e-9d3b-0d8f5a0c9b11",
        "time": "2026-01-31T12:00:00.000Z",
        "updated_at": "2026-01-31T12:00:01.000Z",
        "tenant": "default",
        "severity": "high",
        "status": "new",
    }


async def _bundle(*alerts: dict[str, Any]) -> bytes:
    async def items() -> AsyncIterator[dict[str, Any]]:
        for each in alerts:
            yield each

    return b"".join([part async for part in stix.bundle(items())])


@given(
    st.text(max_size=20),
    st.text(min_size=1, max_size=20),
    st.lists(st.text(min_size=1, max_size=10), max_size=3),
    st.integers(0, 2**40),
    st.floats(0, 1),
)
def test_whatever_an_alert_holds_stix2_takes_it_and_loses_nothing(
    plain_alert: dict[str, Any],
    entity: str,
    rule: str,
    techniques: list[str],
    count: int,
    score: float,
) -> None:
    some = {"entity": entity, "rule_id": rule, "techniques": techniques, "title": entity}
    alert = plain_alert | some | {"count": count, "score": score}
    before = "2026-01-01T00:00:00.000Z"  # an event ahead of our clock
    other = alert | {"id": "1b4e28ba-2fa1-51d2-883f-0016d3cca427", "updated_at": before}
    made = asyncio.run(_bundle(alert, other))
    said = json.loads(made)
    read = stix2.parse(made.decode(), allow_custom=False)
    assert [each.id for each in read.objects] == [each["id"] for each in said["objects"]]
    for each, given_ in zip(read.objects, said["objects"], strict=True):
        kept = json.loads(each.serialize())
        assert kept.keys() | {"confidence"} == given_.keys() | {"confidence"}
        assert kept["type"] == given_["type"]
    assert made.count(b'{"type":"sighting"') == 2


@given(st.lists(st.sampled_from([b"ab", b"a", b"b", b"xaab", b""])))
def test_progress_counts_items_wherever_the_network_cuts_them(chunks: list[bytes]) -> None:
    found = list(counted(chunks, b"ab"))
    assert [chunk for chunk, _ in found] == chunks
    assert sum(items for _, items in found) == b"".join(chunks).count(b"ab")


async def test_the_report_is_a_pdf_with_what_matters(client, rows, tenant) -> None:
    found = await export(client, "alerts", "pdf", tenant=tenant, query="severity>=low")
    assert found.content.startswith(b"%PDF-1.")
    assert found.content.rstrip().endswith(b"%%EOF")
    assert found.content.count(b"/Type /Page\n") >= 3
    empty = Content("Nothing", "acme", "", 0, {"By severity": []}, [], [])
    assert pdf(empty).startswith(b"%PDF-1.")


async def test_events_are_exported_over_many_pages(client, seed, tenant, monkeypatch) -> None:
    monkeypatch.setattr("api.exports.rows.PAGE", 3)
    uids = {str((await seed.event()).uid.hex()) for _ in range(10)}
    found = await export(client, "events", "csv", tenant=tenant)
    table = list(csv.DictReader(io.StringIO(found.text)))
    assert {row["uid"].replace("-", "") for row in table} == uids
    assert (await client.get("/v1/exports/events", params={"format": "pdf"})).status_code == 422


@given(st.text(max_size=50))
def test_no_cell_begins_as_a_formula(value: str) -> None:
    shown = text.cell(value)
    assert not shown.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r"))
    (row,) = csv.reader(io.StringIO(text._row([shown, "x"]).decode(), newline=""))
    assert row[1] == "x"


@given(st.text(max_size=50), st.text(max_size=20))
def test_any_text_is_well_formed_xml(value: str, other: str) -> None:
    made = text.element("alert", {"id": value, "title": other, "explanation": {"a": [value]}})
    Xml.fromstring(made.encode("utf-8", "replace"))


MEMORY = """
import asyncio
from api.exports import text
async def items():
    row = dict.fromkeys(text.COLUMNS["alerts"], "x" * 60) | {"techniques": ["T1078"] * 3}
    for number in range(100_000):
        yield row | {"id": str(number)}
async def main():
    size = 0
    async for chunk in text.chunks(text.table(items(), text.COLUMNS["alerts"])):
        size += len(chunk)
    for line in open('/proc/self/status'):
        if line.startswith('VmHWM'):
            print(size, line.split()[1])
asyncio.run(main())
"""


def test_a_hundred_thousand_rows_take_no_more_memory_than_one() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True
    )
    size, peak = map(int, done.stdout.split())
    assert size > 60_000_000
    assert peak < 150 * 1024
