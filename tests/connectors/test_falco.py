"""Falco: who acted, what the evidence is, ATT&CK out of tags, and outside alerts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connectors._falco.ocsf_map import attacks
from connectors.falco import Falco
from schemas.ocsf import BASE_EVENT, DETECTION_FINDING, validate
from sentinel.errors import MappingError, RecordError
from sentinel.settings import Settings

CONNECTOR = Falco()
EVENTS = Path(Settings().data) / "falco" / "events"


def alert(out: dict[str, Any] | None = None, **changes: Any) -> bytes:
    """Return a small alert."""
    return json.dumps(
        {
            "hostname": "node-1",
            "output": "a shell",
            "output_fields": out or {},
            "priority": "Warning",
            "rule": "Terminal shell in container",
            "source": "syscall",
            "tags": [],
            "time": "2026-03-02T09:00:00.123456789Z",
        }
        | changes
    ).encode()


def mapped(*args: Any, **changes: Any) -> dict[str, Any]:
    """Return the OCSF event of `alert`, checked against the schema."""
    found = CONNECTOR.to_ocsf(alert(*args, **changes))
    assert validate(found) == []
    return found


@pytest.mark.parametrize(
    ("out", "entity"),
    [
        ({"user.name": "root", "user.uid": 0}, "node-1/root"),
        ({"user.name": "<NA>", "user.uid": 1000}, "node-1/1000"),
        ({"user.uid": 0}, "node-1/0"),
        ({"ka.user.name": "ada@example.com"}, "ada@example.com"),
        ({}, "node-1"),
    ],
)
def test_who_acted(out, entity):
    decoded = CONNECTOR.decoder(frozenset()).decode(alert(out))
    assert CONNECTOR.summarise(decoded).entity == entity


def test_rules_find_the_fields_of_an_alert_with_and_without_their_prefix():
    decoder = CONNECTOR.decoder(frozenset({"proc.name", "output_fields.proc.name", "priority"}))
    decoded = decoder.decode(alert({"proc.name": "bash"}))
    found = [
        decoder.getter(name)(decoded)
        for name in ("proc.name", "output_fields.proc.name", "priority")
    ]
    assert found == ["bash", "bash", "Warning"]


def test_what_is_not_mapped_is_left_over_under_its_own_name():
    assert mapped({"proc.name": "x", "proc.sname": "y"})["unmapped"] == {
        "output_fields.proc.sname": "y"
    }


def test_the_evidence_has_process_parent_container_and_pod():
    out = {
        "proc.name": "bash",
        "proc.pid": 7,
        "proc.pname": "runc",
        "container.id": "3ad7b26ded6d",
        "container.image.repository": "registry.example.com/web",
        "container.image.tag": "1",
        "k8s.pod.name": "web-1",
        "k8s.ns.name": "shop",
    }
    found = mapped(out)
    (evidence,) = found["evidences"]
    assert evidence["process"]["pid"] == 7
    assert evidence["process"]["parent_process"]["name"] == "runc"
    assert evidence["container"]["image"]["name"] == "registry.example.com/web:1"
    assert found["resources"] == [{"name": "web-1", "namespace": "shop", "type": "pods"}]


def test_a_connection_is_no_file():
    out = {"fd.name": "10.0.0.5:1->203.0.113.9:443", "fd.sip": "203.0.113.9", "fd.sport": "443"}
    (evidence,) = mapped(out)["evidences"]
    assert evidence == {"dst_endpoint": {"ip": "203.0.113.9", "port": 443}}


def test_attack_is_read_out_of_tags():
    tags = ["container", "T1059.004", "TA0002", "mitre_command_and_control", "T1059.004", "T99"]
    assert attacks(tags) == [
        {"technique": {"uid": "T1059"}, "sub_technique": {"uid": "T1059.004"}},
        {"tactic": {"uid": "TA0002"}},
        {"tactic": {"name": "Command and Control"}},
    ]


def test_figures_are_no_finding_and_lost_system_calls_are():
    assert mapped(rule="Falco internal: metrics snapshot")["class_uid"] == BASE_EVENT
    assert mapped(rule="Falco internal: syscall event drop")["class_uid"] == DETECTION_FINDING


def test_a_damaged_time_is_that_of_the_event_behind_the_alert():
    damaged = "2026-03-02T09:00:00.1Z+2"
    assert mapped({"evt.time": 1772442540000000000}, time=damaged)["time"] == 1772442540000
    with pytest.raises(MappingError, match="time"):
        mapped(time=damaged)


def outside() -> list[dict[str, Any]]:
    """Return the alerts of Falco's own documents and of an integration's tests."""
    if not EVENTS.exists():
        pytest.skip(f"no {EVENTS}: set SENTINEL_DATA to the folder with real logs")
    found = [
        json.loads(line) for path in EVENTS.iterdir() for line in path.read_text().splitlines()
    ]
    return [each.get("event", each) for each in found]


def test_alerts_of_falcos_documents_map_and_validate():
    """Not ours: three of them are pieces of documentation, without a time that is one."""
    refused = []
    every = outside()
    for each in every:
        try:
            assert validate(CONNECTOR.to_ocsf(json.dumps(each).encode())) == []
        except RecordError as error:
            refused.append((each.get("time"), error.reason))
    assert len(every) == 34
    assert len(refused) == 3, refused
