"""Alerts people can live with, as they are typed: suppressed, on trial, and one incident each."""

from __future__ import annotations

import pytest

from sentinel.sample.hour import simulate

pytestmark = pytest.mark.e2e


def hour(seed: int) -> bytes:
    """Return the auditd records of a sample hour."""
    return b"\n".join(e.raw for e in simulate(seed=seed) if e.source == "auditd") + b"\n"


def wait(platform, tenant, ident, state):
    """Return once a suppression has a state, which takes some seconds by design."""
    for _ in range(120):
        rows = platform.json("suppressions", "list", "--all", "--tenant", tenant)
        if {row["id"]: row["state"] for row in rows}[ident] == state:
            return
    pytest.fail(f"{ident} is not {state}")


def test_what_is_suppressed_is_kept_quietly_and_a_repeat_after_the_end_opens(
    platform, tenant, pushed
):
    (made,) = platform.json(
        "suppressions", "add", "--tenant", tenant, "--entity", "web-1/*", "--reason", "known",
        "--expires", "1h", "--owner", "ada",
    )  # fmt: skip
    wait(platform, tenant, made["id"], "active")
    pushed("auditd", "-", stdin=hour(11))
    alerts = platform.json("alerts", "--tenant", tenant)
    assert alerts
    assert {(alert["status"], alert["suppression"]) for alert in alerts} == {
        ("suppressed", made["id"])
    }
    assert platform.json("incidents", "--tenant", tenant) == []
    assert f"suppressed by {made['id']}" in platform.run("alert", alerts[0]["id"]).decode()
    assert platform.counts("correlate", tenant)["suppressed"] > 0

    platform.json("suppressions", "remove", made["id"])
    wait(platform, tenant, made["id"], "ended")
    pushed("auditd", "-", stdin=hour(12))
    after = {alert["id"]: alert for alert in platform.json("alerts", "--tenant", tenant)}
    assert any(after[alert["id"]]["status"] == "new" for alert in alerts), "open again"
    (largest, *_) = platform.json("incidents", "--tenant", tenant, "--min-alerts", "2")
    shown = platform.json("incident", largest["id"])[0]
    assert {each["id"] for each in shown["members"]} <= after.keys()
    assert len(shown["members"]) == largest["alerts"]
    assert platform.balance() == 0
