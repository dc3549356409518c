"""A recording is replayed: what is unusual in it is alerted on, and a webhook hears of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from numpy.typing import NDArray
from standardwebhooks import Webhook

from bci.formats.nsx_write import NsxWriter
from schemas import avro
from sentinel.testing.server import ScriptedServer, reply

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

FS, CHANNELS, SECONDS = 15_000, 16, 13
#: From here on every channel fires in volleys, three a second, as in a seizure; and one is dead.
SEIZURE_S, DEAD_S, DEAD = 8.0, 9.0, 15
SCHEMA = Draft202012Validator(json.loads((avro.HERE / "neural_event.schema.json").read_text()))
LIMIT_S = 300.0


def until(condition: Callable[[], Any]) -> Any:
    """Ask until `condition` holds; fail after `LIMIT_S`."""
    deadline = time.monotonic() + LIMIT_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {LIMIT_S} s"
        time.sleep(0.2)
    return found


def recording() -> NDArray[np.int16]:
    """Return int16[time, channel], 0.25 µV a bit: calm, then a seizure and a dead electrode."""
    draw = np.random.default_rng(3)
    samples = draw.normal(0, 32, (SECONDS * FS, CHANNELS))
    ms = np.arange(-15, 30) * 1000 / FS
    spike = 200 * np.exp(-0.5 * ((ms - 0.5) / 0.3) ** 2) - 600 * np.exp(-0.5 * (ms / 0.12) ** 2)
    volleys = SEIZURE_S + np.arange(0, SECONDS - SEIZURE_S - 0.4, 1 / 3)
    for channel in range(CHANNELS):
        calm = draw.uniform(0.1, SEIZURE_S, 40)
        storm = (volleys[:, None] + draw.uniform(0, 0.12, (len(volleys), 12))).ravel()
        for start in (np.concatenate([calm, storm]) * FS).astype(int):
            samples[start : start + len(spike), channel] += spike
    samples[round(DEAD_S * FS) :, DEAD] = 0
    return samples.round().astype(np.int16)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recording as a file that the lab's system could have written."""
    path = tmp_path_factory.mktemp("lab") / "patient.ns5"
    labels = [f"elec{number}" for number in range(1, CHANNELS + 1)]
    with NsxWriter(path, float(FS), 0.25, labels) as writer:
        writer.write(recording())
    return path


def test_a_seizure_and_a_dead_electrode_are_alerts_and_come_by_webhook(platform, tenant, file):
    hook = f"neural-{tenant}"
    with ScriptedServer() as receiver:
        receiver.route("POST", "/lab", lambda _: reply({}))
        (made,) = platform.json(
            "webhooks", "create", hook, f"{receiver.url}/lab", "--tenant", tenant,
            "--kind", "neural.*", "--option", "batch_size=100", "--option", "batch_wait_s=2",
        )  # fmt: skip
        (sent,) = platform.json(
            "bci", "replay", str(file), "--speed", "max", "--session", tenant, "--tenant", tenant
        )
        assert (sent["channels"], sent["seconds"]) == (CHANNELS, SECONDS)

        def alerts():
            rows = platform.json("alerts", "--tenant", tenant, "--source", "bci_event")
            found = {row["title"].split()[0]: row for row in rows if row["rule_id"]}
            return found if found.keys() >= {"Seizure-Like", "Channels"} else None

        found = until(alerts)
        verify, told = Webhook(made["secret"]).verify, []

        def heard():
            messages = [verify(each.body, dict(each.headers)) for each in receiver.requests]
            items = [one for each in messages for one in each["data"].get("items", [each])]
            told[:] = [each["data"]["event"] for each in items]
            return {"synchrony", "channel_health"} <= {each["kind"] for each in told}

        until(heard)
        requests = len(receiver.requests)
        platform.run("webhooks", "delete", hook)
    for event in told:
        SCHEMA.validate(event)
    assert requests < len(told), "in batches"
    seizure, electrode = found["Seizure-Like"], found["Channels"]
    assert (seizure["severity"], electrode["severity"]) == ("high", "medium")
    assert seizure["entity"] == electrode["entity"] == f"{tenant}/0"
    assert "bursts of most channels within" in seizure["explanation"]["what"]
    assert "message is 'elec16 flat'" in electrode["explanation"]["what"]
    assert "a seizure" in platform.run("alert", seizure["id"]).decode()
    until(lambda: platform.balance() == 0)
