"""Kubernetes audit: stages, verbs, bindings, secrets, and what public rules ask for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connectors._k8s_audit.classes import Request, classify
from connectors.k8s_audit import K8sAudit
from detectors.sigma import RuleSet
from schemas.ocsf import API_ACTIVITY, OTHER, validate
from sentinel.settings import Settings

CONNECTOR = K8sAudit()
RULES = Path(Settings().data) / "sigma_rules" / "rules" / "application" / "kubernetes"


def event(**changes: Any) -> dict[str, Any]:
    """Return a small event."""
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": "00000000-0000-4000-8000-000000000001",
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/shop/pods/web-1",
        "verb": "get",
        "user": {"username": "ada@example.com"},
        "sourceIPs": ["203.0.113.7", "10.0.0.1"],
        "userAgent": "kubectl/v1.30.1",
        "objectRef": {"resource": "pods", "namespace": "shop", "name": "web-1"},
        "responseStatus": {"code": 200},
        "stageTimestamp": "2026-03-02T09:00:00.123456Z",
    } | changes


def mapped(**changes: Any) -> dict[str, Any]:
    """Return the OCSF event of `event`, checked against the schema."""
    found = CONNECTOR.to_ocsf(json.dumps(event(**changes)).encode())
    assert validate(found) == []
    return found


def test_the_stages_of_a_request_are_events_of_their_own():
    ids = {mapped(stage=stage)["metadata"]["uid"] for stage in ("RequestReceived", "Panic")}
    assert len(ids) == 2
    assert len({uid.partition("/")[0] for uid in ids}) == 1


@pytest.mark.parametrize(("verb", "sub"), [("create", "exec"), ("get", "exec"), ("get", "proxy")])
def test_going_through_a_pod_is_neither_reading_nor_creating(verb, sub):
    assert classify(Request(verb, "pods", sub)) == (API_ACTIVITY, OTHER)
    found = mapped(verb=verb, objectRef={"resource": "pods", "name": "x", "subresource": sub})
    assert found["activity_name"] == f"{verb} pods/{sub}"


def test_what_a_secret_holds_is_not_copied():
    body = {"kind": "Secret", "data": {"password": "aHVudGVyMg=="}}
    found = mapped(verb="create", objectRef={"resource": "secrets"}, requestObject=body)
    assert "aHVudGVyMg" not in json.dumps(found)


def test_the_source_is_the_first_address_and_the_rest_are_between():
    source = mapped()["src_endpoint"]
    assert (source["ip"], source["intermediate_ips"]) == ("203.0.113.7", ["10.0.0.1"])


def test_who_impersonates_is_the_actor_and_whom_is_a_resource():
    found = mapped(impersonatedUser={"username": "system:admin"})
    assert found["actor"]["user"]["name"] == "ada@example.com"
    assert [each["name"] for each in found["resources"]] == ["web-1", "system:admin"]


def test_the_decision_says_why():
    reasons = {
        "authorization.k8s.io/decision": "forbid",
        "authorization.k8s.io/reason": "no RBAC policy matched",
        "mutation.webhook.admission.k8s.io/round_0_index_0": "x",
    }
    found = mapped(annotations=reasons, responseStatus={"code": 403})
    (decision,) = found["actor"]["authorizations"]
    assert decision["decision"] == "forbid"
    assert found["status"] == "Failure"
    assert list(found["unmapped"]) == [
        "annotations.mutation.webhook.admission.k8s.io/round_0_index_0"
    ]


def test_a_webhooks_list_is_cut_into_its_events():
    value = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [event(), event()]}
    assert [json.loads(unit) for unit in CONNECTOR.split(json.dumps(value).encode())] == [
        event(),
        event(),
    ]


def hits(**changes: Any) -> set[str]:
    """Return the titles of the public rules that match."""
    if not RULES.exists():
        pytest.skip(f"no {RULES}: set SENTINEL_DATA to the folder with real rules")
    chosen = RuleSet.load([RULES]).select(CONNECTOR.logsources)
    assert len(chosen.rules) == 16
    decoder = CONNECTOR.decoder(frozenset().union(*(rule.fields for rule in chosen.rules)))
    matcher = chosen.matcher(decoder.getter, decoder.text)
    found = decoder.decode(json.dumps(event(**changes)).encode())
    return {rule.title for _, rule in matcher.match([found])}


def test_public_rules_with_and_without_a_category_match():
    spec = {
        "volumes": [{"hostPath": {"path": "/"}}],
        "containers": [{"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}],
    }
    found = hits(verb="create", requestObject={"spec": spec})
    assert found == {"Container With A hostPath Mount Created", "Privileged Container Deployed"}
    assert hits(verb="list", objectRef={"resource": "secrets"}) == {
        "Kubernetes Secrets Enumeration"
    }
    injected = {"resource": "deployments", "apiGroup": "apps"}
    assert hits(verb="patch", objectRef=injected) == {
        "Potential Sidecar Injection Into Running Deployment"
    }
    assert hits() == set()
