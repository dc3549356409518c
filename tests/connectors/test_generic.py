"""Sources by a mapping file: checked when loaded, valid OCSF whatever comes."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors import _golden
from connectors._sources import sources
from connectors.base import Connector
from schemas.ocsf import validate
from sentinel.cli import app
from sentinel.errors import RecordError, SettingsError
from sentinel.settings import Settings

PORTAL = """
description: Sign-ins of our portal.
product: {name: Portal, vendor_name: Example}
logsource: {product: portal, service: auth}
envelope: {lists: [events]}
time: {field: ts, format: "%d.%m.%Y %H:%M:%S %z"}
id: event_id
entity: [user.id, user.name]
operation: action
src_ip: ip
severity: {field: level, map: {info: 1, warn: 3}, default: 1}
status: {field: result, map: {ok: 1, failed: 2}, default: 0}
classes:
  - when: {action: [login, logout]}
    class: 3002
    activity: {field: action, map: {login: 1, logout: 2}}
    map:
      user.name: user.name
      user.uid: user.id
      auth_protocol_id: {const: 5}
      service.name: {const: portal}
  - when: {action: upload}
    class: 1001
    activity: {const: 1}
    map:
      file.name: file
      file.type_id: {const: 1}
      device.hostname: {field: host, default: portal}
      device.type_id: {const: 0}
      actor.user.name: user.name
  - class: 6003
    map: {api.operation: action, actor.user.name: user.name, resources.name: items.name}
map:
  src_endpoint.ip: ip
  src_endpoint.port: port
  message: [message, text]
"""
LOGIN = {
    **{"ts": "02.03.2026 09:15:00 +0000", "event_id": "7", "action": "login", "result": "ok"},
    **{"user": {"id": 42, "name": "ada"}, "ip": "192.0.2.7", "port": "4711", "tries": 1},
}


def write(folder: Path, text: str = PORTAL, name: str = "portal") -> Settings:
    (folder / f"{name}.yml").write_text(textwrap.dedent(text))
    return Settings(mappings=str(folder))


@pytest.fixture
def portal(tmp_path: Path) -> Connector:
    return sources(write(tmp_path))["portal"]()


def events(connector: Connector, *values: Any) -> list[dict[str, Any]]:
    raw = "\n".join(json.dumps(value) for value in values).encode()
    found = _golden.events(connector, raw)
    assert [validate(event) for event in found] == [[]] * len(values)
    return found


def test_a_mapping_file_is_a_source_like_any_other(portal: Connector) -> None:
    (event,) = events(portal, LOGIN)
    assert event["class_name"] == "Authentication"
    assert event["activity_name"] == "Logon"
    assert event["time"] == 1_772_442_900_000
    assert event["user"] == {"name": "ada", "uid": "42"}
    assert event["src_endpoint"] == {"ip": "192.0.2.7", "port": 4711}
    assert event["auth_protocol"] == "SAML"
    assert event["metadata"]["uid"] == "7"
    assert event["metadata"]["product"]["name"] == "Portal"
    assert event["unmapped"] == {"tries": 1}
    summary = portal.summarise(portal.decoder(frozenset()).decode(json.dumps(LOGIN).encode()))
    assert (summary.entity, summary.operation, summary.src_ip) == ("42", "login", "192.0.2.7")


def test_the_class_is_the_first_that_fits_and_lists_become_objects(portal: Connector) -> None:
    upload = LOGIN | {"action": "upload", "file": "a.pdf"}
    other = LOGIN | {"action": "browse", "items": [{"name": "a"}, {"name": "b"}]}
    file, api = events(portal, upload, other)
    assert (file["class_uid"], file["file"]["name"]) == (1001, "a.pdf")
    assert file["device"]["hostname"] == "portal"
    assert [each["name"] for each in api["resources"]] == ["a", "b"]


def test_what_does_not_fit_stays_in_unmapped(portal: Connector) -> None:
    (event,) = events(portal, LOGIN | {"ip": "gate", "port": 99999999})
    assert "src_endpoint" not in event
    assert event["unmapped"]["ip"] == "gate"
    assert event["unmapped"]["port"] == 99999999


def test_what_the_class_requires_must_be_there(portal: Connector) -> None:
    lacking = {**LOGIN, "user": {}}
    with pytest.raises(RecordError, match=r"user\.name.*which Authentication requires"):
        events(portal, lacking)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.just("192.0.2.1"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def test_any_values_give_valid_ocsf_or_a_dead_letter(portal: Connector) -> None:
    @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.dictionaries(st.sampled_from(sorted({*LOGIN, "items", "host", "file"})), VALUES))
    def check(change: dict[str, Any]) -> None:
        raw = json.dumps(LOGIN | change).encode()
        for unit in portal.split(raw):
            try:
                summary = portal.summarise(portal.decoder(frozenset()).decode(unit))
            except RecordError:
                continue
            event = portal.to_ocsf(unit)
            assert validate(event) == []
            assert event["class_uid"] == summary.class_uid

    check()


WRONG = {
    r"did you mean user\.name\?": ("\n      user.name:", "\n      user.nme:"),
    r"such as .*name": ("resources.name: items", "resources: items"),
    r"class_uid is set by": ("auth_protocol_id: {const: 5}", "class_uid: {const: 5}"),
    r"auth_protocol_id: expected one of": ("{const: 5}", "{const: 77}"),
    r"activity: expected one of 0 \(Unknown\)": ("logout: 2", "logout: 222"),
    r"user: required, but missing": (
        "      user.name: user.name\n      user.uid: user.id\n      auth",
        "      auth",
    ),
    r"expected a class of 0 \(Base Event\)": ("class: 6003", "class: 7"),
    r"oprtion: there is no such setting": ("operation: action\n", "oprtion: action\n"),
    r"time: expected a value, found none": ("time: {field: ts", "tme: {field: ts"),
    r"expected a mapping in YAML": ("description: S", "description: {S"),
    r"is none of its values": ("{field: host, default: portal}", "{field: host, map: {a: 1}}"),
}


@pytest.mark.parametrize(("told", "change"), WRONG.items(), ids=WRONG)
def test_a_wrong_mapping_is_refused_when_it_is_loaded(
    tmp_path: Path, told: str, change: tuple[str, str]
) -> None:
    assert change[0] in PORTAL
    chosen = write(tmp_path, PORTAL.replace(*change))
    if told == r"is none of its values":
        text = (tmp_path / "portal.yml").read_text().replace("file.type_id: {const: 1}",
            "file.type_id: {field: kind, map: {a: 88}}")  # fmt: skip
        (tmp_path / "portal.yml").write_text(text)
    with pytest.raises(SettingsError, match=told) as error:
        sources(chosen)
    assert all("portal.yml" in line for line in str(error.value).split("\n"))


def test_names_of_sources_are_free_and_fit_a_topic(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is a source okta already"):
        sources(write(tmp_path, name="okta"))
    (tmp_path / "okta.yml").unlink()
    with pytest.raises(SettingsError, match="expected a name of a-z"):
        sources(write(tmp_path, name="My-Portal"))
    with pytest.raises(SettingsError, match="expected a directory"):
        sources(Settings(mappings=str(tmp_path / "none")))


def test_normalize_knows_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    write(tmp_path)
    log = tmp_path / "events.json"
    log.write_text(json.dumps({"events": [LOGIN, LOGIN | {"event_id": "8"}]}))
    monkeypatch.setenv("SENTINEL_MAPPINGS", str(tmp_path))
    assert app.run(["normalize", str(log), "--source", "portal"]) == 0
    found = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [event["metadata"]["uid"] for event in found] == ["7", "8"]
