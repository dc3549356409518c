"""A call over HTTP reaches the simulated stimulator, and what it said comes back."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from bci.stimulator.audit import verify

pytestmark = pytest.mark.e2e
URL = "/v1/neural/stimulator"
PATTERN = {
    "configID": 1, "afcf": 1, "pulses": 10, "amp1": 50, "amp2": 50,
    "width1": 200, "width2": 200, "frequency": 100, "interphase": 53,
}  # fmt: skip
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("setDevice", {"index": 0}),
    ("connect", {}),
    ("configureStimulusPattern", PATTERN),
    ("manualStimulus", {"electrode": 7, "configID": 1}),
    ("manualStimulus", {"electrode": 97, "configID": 1}),
]
WAIT_S = 180.0


def state_after(client: httpx.Client, device: str, last: str) -> dict[str, Any]:
    """Return the state once the command `last` has its outcome."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        answer = client.get(URL, params={"device": device})
        if answer.status_code == 200 and answer.json()["outcomes"][0]["id"] == last:
            found: dict[str, Any] = answer.json()
            return found
    raise AssertionError(f"expected the outcome of {last} within {WAIT_S:g} s")


def test_calls_reach_the_device_in_order_and_are_audited(platform, tenant):
    token = (platform.home / "api-token").read_text().strip()
    url = json.loads((platform.home / "stack.json").read_text())["api"]
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
        for call, arguments in CALLS:
            answer = client.post(f"{URL}/{call}", params={"device": tenant}, json=arguments)
            assert answer.status_code == 202, answer.text
        state = state_after(client, tenant, answer.json()["id"])

    assert [each["name"] for each in state["outcomes"]] == [
        "invalid_channel", "success", "success", "success", "success"
    ]  # fmt: skip
    assert (state["connected"], state["patterns"], state["stimuli"]) == (True, [1], 1)
    (file,) = Path(platform.home / "stimuli").glob(f"default_{tenant}-*.jsonl")
    lines = [json.loads(line) for line in file.read_bytes().splitlines()]
    assert [line["electrode"] for line in lines if line["kind"] == "stimulus"] == [7]
    assert verify(file) == len(lines) == 6
    assert platform.balance() == 0
