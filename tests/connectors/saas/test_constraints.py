"""Gatekeeper's constraints out of the Kubernetes API, over HTTP."""

from __future__ import annotations

import base64
import json
from contextlib import closing
from typing import Any

import pytest

from connectors._gatekeeper.cluster import from_config
from connectors._gatekeeper.reader import GROUP, ConstraintReader
from connectors._reading.base import DeniedError, SourceError
from connectors.gatekeeper import Gatekeeper
from sentinel.testing.clock import Clock
from sentinel.testing.draining import Drain
from sentinel.testing.server import (
    Request,
    Response,
    ScriptedServer,
    cut,
    expired,
    failed,
    malformed,
    paged,
    reply,
)

KINDS = ("k8srequiredlabels", "k8spspprivilegedcontainer")


def constraint(kind: str, name: str, violations: int, at: str = "2026-03-02T09:00:00Z") -> Any:
    """Return a constraint with so many violations."""
    found = [{"kind": "Pod", "name": f"p{n}", "namespace": "shop"} for n in range(violations)]
    return {
        "apiVersion": "constraints.gatekeeper.sh/v1beta1",
        "kind": kind,
        "metadata": {"name": name, "uid": f"uid-{name}", "generation": 1},
        "status": {"auditTimestamp": at, "totalViolations": violations, "violations": found},
    }


class Cluster:
    """The API of a cluster, two constraints a page."""

    def __init__(self, server: ScriptedServer) -> None:
        self.constraints = {
            kind: [constraint(kind, f"{kind}-{n}", n) for n in range(5)] for kind in KINDS
        }
        server.route("GET", GROUP, self._kinds)
        server.route("GET", f"{GROUP}/[a-z0-9]+", self._list)

    def _kinds(self, request: Request) -> Response:
        names = [*KINDS, *(f"{kind}/status" for kind in KINDS)]
        return reply({"kind": "APIResourceList", "resources": [{"name": name} for name in names]})

    def _list(self, request: Request) -> Response:
        assert request.bearer() == "pod-token"
        found = self.constraints[request.path.rpartition("/")[2]]
        items, token = paged(found, request.param("continue"), 2)
        return reply({"kind": "List", "items": list(items), "metadata": {"continue": token}})


@pytest.fixture
def server():
    with ScriptedServer() as made:
        yield made


@pytest.fixture
def make(server, tmp_path):
    token = tmp_path / "token"
    token.write_text("pod-token\n")
    settings = ConstraintReader.Settings(server=server.url, token_file=token, ca="")

    def made() -> ConstraintReader:
        reader = ConstraintReader(settings, Gatekeeper())
        reader.clock = CLOCK
        return reader

    return made


CLOCK = Clock()


def test_every_constraint_comes_once_and_again_when_its_violations_change(server, make):
    cluster = Cluster(server)
    drain = Drain(make, SourceError)
    drain.run()
    assert len(set(drain.ids)) == len(drain.ids) == 10
    for found in cluster.constraints.values():
        for each in found:
            each["status"]["auditTimestamp"] = "2026-03-02T09:01:00Z"
    cluster.constraints[KINDS[0]][2] = constraint(
        KINDS[0], f"{KINDS[0]}-2", 9, "2026-03-02T09:01:00Z"
    )
    drain.run()
    assert len(drain.records) == 11
    assert b'"totalViolations": 9' in drain.records[-1].value
    CLOCK.move(90_000)
    drain.run()
    assert len(drain.records) == 21, "what has not changed is told again after a day"


def test_failures_lose_nothing_and_double_nothing(server, make):
    Cluster(server)
    path = f"{GROUP}/{KINDS[1]}"
    server.script(path, None, failed(503), malformed(), None, cut(), expired())
    drain = Drain(make, SourceError)
    drain.run()
    assert server.left() == 0
    assert len(set(drain.ids)) == 10
    assert len(drain.errors) == 3


def test_the_reader_and_the_mapping_fit(server, make):
    Cluster(server)
    drain = Drain(make, SourceError)
    drain.run()
    connector = Gatekeeper()
    units = [unit for record in drain.records for unit in connector.split(record.value)]
    statuses = [connector.to_ocsf(unit)["status"] for unit in units]
    assert statuses.count("Resolved") == 2
    assert statuses.count("New") == 2 * (1 + 2 + 3 + 4)


def test_check_names_the_role_that_is_missing(server, make):
    Cluster(server)
    with closing(make()) as reader:
        assert all(check.ok for check in reader.check())
        server.script(GROUP, failed(403, {"kind": "Status", "reason": "Forbidden"}))
        (refused,) = reader.check()
    assert not refused.ok
    assert "constraints.gatekeeper.sh" in refused.detail


def test_a_kubeconfig_says_where_and_who(tmp_path):
    config = {
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [
            {
                "name": "c",
                "cluster": {
                    "server": "https://192.0.2.1:6443",
                    "certificate-authority-data": base64.b64encode(b"PEM").decode(),
                },
            }
        ],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    path = tmp_path / "config"
    path.write_text(json.dumps(config))
    found = from_config(path, "", tmp_path)
    assert (found.server, found.token(False)) == ("https://192.0.2.1:6443", "t")
    assert (tmp_path / "ca.pem").read_bytes() == b"PEM"
    config["users"] = [{"name": "u", "user": {"exec": {"command": "aws"}}}]
    path.write_text(json.dumps(config))
    with pytest.raises(DeniedError, match="kubectl create token"):
        from_config(path, "", tmp_path)
    with pytest.raises(DeniedError, match="no such entry"):
        from_config(path, "b", tmp_path)
