"""Scans of parts of a target, pushed one after the other, and the states that come of them."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.e2e


def report(minute: int, *numbers: int) -> bytes:
    found = [
        {"VulnerabilityID": f"CVE-2026-1000{n}", "PkgName": "example", "Severity": "HIGH"}
        for n in numbers
    ]
    result = {"Target": "go.mod", "Class": "lang-pkgs", "Vulnerabilities": found}
    head = {"ArtifactName": "shop", "ArtifactType": "repository", "Results": [result]}
    return json.dumps(head | {"CreatedAt": f"2026-03-02T09:{minute:02}:00Z"}).encode()


def test_a_scan_of_a_part_resolves_only_what_that_part_had(platform, tenant):
    mine = ("--source", "trivy", "--tenant", tenant, "--wait")
    platform.run("push", "-", *mine, "--scope", "namespace/shop", stdin=report(0, 1, 2))
    platform.run("push", "-", *mine, "--scope", "namespace/pay", stdin=report(1, 3))
    platform.run("push", "-", *mine, "--scope", "namespace/shop", stdin=report(2, 1))

    def states(*scope: str) -> dict[str, str]:
        asked = [f"--state={each}" for each in ("new", "recurring", "resolved")]
        found = platform.json("findings", "--tenant", tenant, *asked, *scope)
        return {each["rule"][-1] + " " + each["scope"]: each["state"] for each in found}

    shop = {"1 namespace/shop": "recurring", "2 namespace/shop": "resolved"}
    assert states("--scope", "namespace/shop") == shop
    assert states() == shop | {"3 namespace/pay": "new"}
