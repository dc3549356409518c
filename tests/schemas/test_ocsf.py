"""The validator: accepts what the schema allows, and names everything else."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from importlib import resources
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import ocsf
from schemas.ocsf_trim import trim

Event = dict[str, Any]


def api_call() -> Event:
    """Return a small valid API Activity event."""
    event = ocsf.head(ocsf.API_ACTIVITY, 2, time=1_700_000_000_000, severity_id=1)
    return event | {
        "actor": {"user": {"name": "alice"}},
        "api": {"operation": "ListUsers", "response": {"code": 200}},
        "cloud": {"provider": "AWS"},
        "metadata": {
            "product": {"name": "CloudTrail"},
            "profiles": ["cloud"],
            "version": ocsf.VERSION,
        },
        "src_endpoint": {"ip": "203.0.113.7", "port": 443},
        "status": "Success",
        "status_id": 1,
        "unmapped": {"anything": [1, {"goes": None}]},
    }


def change(path: str, value: Any) -> Callable[[Event], None]:
    """Return a function that sets `path`, or deletes it where `value` is ``...``."""

    def apply(event: Event) -> None:
        *way, last = path.split(".")
        for name in way:
            event = event.setdefault(name, {})
        if value is ...:
            del event[last]
        else:
            event[last] = value

    return apply


def test_valid_event_has_no_problems() -> None:
    assert ocsf.validate(api_call()) == []


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("actor", ..., "actor: required"),
        ("actor", {}, "actor.: at_least_one"),
        ("api.operation", ..., "api.operation: required"),
        ("api.operation", None, "api.operation: required"),
        ("api.respons", {}, "api.respons: the schema does not define it"),
        ("actor.invoked_by", "ec2", "actor.invoked_by: deprecated"),
        ("activity_id", 7, "activity_id: expected one of 0, 1, 2, 3, 4, 99"),
        ("activity_name", "Create", "activity_id: 2 is 'Read'"),
        ("type_uid", 600303, "type_uid: expected 600302"),
        ("category_uid", 3, "category_uid: expected 6"),
        ("class_uid", 1, "class_uid: expected one of"),
        ("class_uid", [6003], "class_uid: expected one of"),
        ("status", "Failure", "status_id: 1 is 'Success'"),
        ("time", "2026", "time: expected an integer"),
        ("time", True, "time: expected an integer"),
        ("src_endpoint.ip", "300.1.2.3", "src_endpoint.ip: expected ip_t"),
        ("src_endpoint.port", 65536, "src_endpoint.port: expected port_t"),
        ("observables", {}, "observables: expected an array"),
        ("observables", [{"type_id": "2"}], "observables[0].type_id: expected an integer"),
        ("metadata.version", "1.1.0", "metadata.version: expected 1.7.0"),
        ("metadata.profiles", [], "cloud: belongs to profile cloud"),
        ("metadata.profiles", ["cloud", "nimbus"], "metadata.profiles: 'nimbus'"),
        ("metadata", "text", "metadata: expected an object"),
    ],
)
def test_every_kind_of_mistake_is_named(path: str, value: Any, problem: str) -> None:
    event = api_call()
    change(path, value)(event)

    found = ocsf.validate(event)

    assert any(line.startswith(problem) for line in found), found


def test_just_one_of_allows_one_only() -> None:
    event = ocsf.head(ocsf.AUTHORIZE_SESSION, 1, time=0, severity_id=1)
    event |= {"metadata": {"product": {"name": "x"}, "version": ocsf.VERSION}}
    event |= {"user": {"name": "alice"}, "privileges": ["sudo"]}

    assert ocsf.validate(event) == []
    assert ocsf.validate(event | {"group": {"name": "wheel"}}) == [
        "event : just_one of privileges, group, found 2"
    ]


@pytest.mark.parametrize("class_uid", sorted(ocsf.classes()))
def test_head_agrees_with_the_schema_for_every_class_and_activity(class_uid: int) -> None:
    for activity in ocsf.classes()[class_uid]["attributes"]["activity_id"]["enum"]:
        event = ocsf.head(class_uid, int(activity), time=0, severity_id=1)

        assert all(
            "required" in line or "at_least" in line or "just_one" in line
            for line in ocsf.validate(event)
        )


def test_constants_name_their_classes() -> None:
    named = {
        value
        for name, value in vars(ocsf).items()
        if name.isupper() and name != "OTHER" and isinstance(value, int)
    }

    assert named == set(ocsf.classes())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(api_call())), JSON)
def test_anything_at_all_gives_a_list_of_problems(name: str, value: Any) -> None:
    assert isinstance(ocsf.validate(api_call() | {name: value}), list)


def test_shipped_schema_is_the_published_one_trimmed() -> None:
    published = pytest.importorskip("ocsf_json_schema", reason="published schema not installed")
    path = resources.files(published).joinpath("ocsf", f"{ocsf.VERSION}.json")

    assert trim(json.loads(path.read_text(encoding="utf-8"))) == ocsf.schema()


def test_agrees_with_json_schema_of_another_implementation() -> None:
    """An outside oracle, as far as JSON Schema goes: it knows neither captions nor type_uid."""
    published = pytest.importorskip("ocsf_json_schema", reason="published schema not installed")
    export = json.loads(
        resources.files(published).joinpath("ocsf", f"{ocsf.VERSION}.json").read_text("utf-8")
    )
    whole = published.OcsfJsonSchemaEmbedded(export).get_class_schema("api_activity", ["cloud"])
    oracle = jsonschema.Draft202012Validator(whole)
    changes = [
        ("actor", ...),
        ("api.operation", ...),
        ("api.respons", {}),
        ("activity_id", 7),
        ("time", "2026"),
        ("observables", {}),
        ("observables", [{"type_id": "2"}]),
        ("cloud", ...),
        ("src_endpoint", {}),
        ("src_endpoint.port", 1),
        ("message", "text"),
        ("http_request.http_method", "STEAL"),
        ("http_request.http_method", "GET"),
    ]
    for path, value in changes:
        event = copy.deepcopy(api_call())
        change(path, value)(event)
        assert bool(ocsf.validate(event)) == (not oracle.is_valid(event)), (path, value)
