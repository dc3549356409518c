"""TAXII 2.1 over HTTP, by its paging, faults and state; and the command that uses it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from connectors._intel.taxii import MEDIA, Taxii
from detectors.enrich.feeds import Feed
from sentinel.errors import SettingsError
from sentinel.testing.server import (
    Request,
    Response,
    ScriptedServer,
    cut,
    failed,
    malformed,
    paged,
    reply,
    throttled,
)

PATH = "/api1/collections/c1/objects/"
TOKEN = "sesame"


class Collection(list[dict[str, Any]]):
    """Indicators with the times at which they were added."""

    def put(self, number: int, **more: Any) -> None:
        self.append(
            {
                "type": "indicator",
                "id": f"indicator--{number}",
                "pattern_type": "stix",
                "pattern": f"[ipv4-addr:value = '192.0.2.{number}']",
                "modified": "2026-03-02T09:15:00Z",
                **more,
            }
        )

    def answer(self, request: Request) -> Response:
        if request.bearer() != TOKEN or request.headers["accept"] != MEDIA:
            return reply({}, 401)
        assert request.param("match[type]") == "indicator"
        start = int(request.param("added_after") or 0)
        items, following = paged(self[start:], request.param("next"), 2)
        found = {"objects": list(items)} | ({"more": True, "next": following} if following else {})
        return reply(found, X_TAXII_Date_Added_Last=f"{len(self):09}")


@pytest.fixture
def collection() -> Collection:
    return Collection()


@pytest.fixture
def server(collection: Collection) -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        running.route("GET", PATH, collection.answer)
        yield running


def taxii(server: ScriptedServer, token: str = TOKEN) -> Taxii:
    return Taxii(f"{server.url}/api1/", "c1", SecretStr(token))


def values(path: Path) -> list[str]:
    return sorted(each.value for each in Feed(path))


def test_all_pages_then_only_what_is_new(
    server: ScriptedServer, collection: Collection, tmp_path: Path
) -> None:
    for number in range(5):
        collection.put(number)
    path = tmp_path / "feed.json"

    first = taxii(server).fetch(path)
    collection.put(9)
    collection.put(1, modified="2026-04-02T09:15:00Z", revoked=True)
    second = taxii(server).fetch(path)

    assert (first.objects, first.indicators, first.requests) == (5, 5, 3)
    assert (second.objects, second.indicators, second.requests) == (2, 6, 1)
    assert values(path) == [f"192.0.2.{number}" for number in (0, 2, 3, 4, 9)]


def test_faults_that_pass_are_waited_for(
    server: ScriptedServer, collection: Collection, tmp_path: Path
) -> None:
    for number in range(3):
        collection.put(number)
    server.script(PATH, throttled(), failed(), None, cut())

    assert taxii(server).fetch(tmp_path / "feed.json").indicators == 3


def test_what_breaks_off_leaves_the_old_bundle(
    server: ScriptedServer, collection: Collection, tmp_path: Path
) -> None:
    collection.put(1)
    path = tmp_path / "feed.json"
    taxii(server).fetch(path)
    before = path.read_bytes()
    for number in range(2, 7):
        collection.put(number)
    server.script(PATH, None, malformed())

    with pytest.raises(SettingsError, match="expected an answer"):
        taxii(server).fetch(path)
    assert path.read_bytes() == before
    assert taxii(server).fetch(path).indicators == 6


def test_a_refusal_says_what_to_check(server: ScriptedServer, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="HTTP 401; check SENTINEL_INTEL_TOKEN"):
        taxii(server, "wrong").fetch(tmp_path / "feed.json")
    assert list(tmp_path.iterdir()) == []


def run(folder: Path, *words: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "sentinel.cli", *words],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"SENTINEL_INTEL": str(folder), "SENTINEL_INTEL_TOKEN": TOKEN},
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_what_was_pulled_is_known_when_asked_and_in_normalized_events(
    server: ScriptedServer, collection: Collection, tmp_path: Path
) -> None:
    collection.put(7, name="Botnet", confidence=90, modified=datetime.now(UTC).isoformat())
    (pulled,) = run(tmp_path, "intel", "pull", f"{server.url}/api1", "c1", "--json")
    assert pulled["indicators"] == 1

    (known,) = run(tmp_path, "intel", "ask", "192.0.2[.]7")
    assert (known["matches"][0]["name"], known["matches"][0]["feed"]) == ("Botnet", "taxii")
    counts = {row["what"]: row["count"] for row in run(tmp_path, "intel", "status", "--json")}
    assert counts["indicators: ip"] == 1

    event = {
        "eventTime": "2026-03-02T09:15:00Z",
        "eventName": "ListBuckets",
        "eventSource": "s3.amazonaws.com",
        "sourceIPAddress": "192.0.2.7",
        "awsRegion": "eu-central-1",
        "eventID": "0f0e1d2c-3b4a-5968-8776-958493a2b1c0",
        "userIdentity": {"type": "Root", "arn": "arn:aws:iam::123456789012:root"},
    }
    (tmp_path / "log.json").write_text(json.dumps(event))
    (found,) = run(tmp_path, "normalize", str(tmp_path / "log.json"), "--source", "cloudtrail")
    assert found["osint"][0]["name"] == "Botnet"
    assert "osint" in found["metadata"]["profiles"]
