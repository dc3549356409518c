"""The webhook of Kubernetes' audit and Falco's HTTP output, through the way in by HTTP."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import httpx
import pytest

from connectors._reading.http import HttpReader, HttpSettings
from connectors.falco import Falco
from connectors.k8s_audit import K8sAudit
from schemas.ocsf import validate

TOKEN = "0123456789abcdef"
GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.mark.parametrize(
    ("connector", "case", "auth", "events"),
    [
        (K8sAudit(), "k8s_audit/event_list", {"Authorization": f"Bearer {TOKEN}"}, 2),
        (Falco(), "falco/shell_in_container", None, 1),
    ],
)
def test_what_they_send_becomes_events(connector, case, auth, events):
    reader = HttpReader(HttpSettings(port=0, token=TOKEN, poll_s=20), connector)
    taken = []

    def work() -> None:
        for page in reader.read(None):
            taken.extend(page.records)

    reader._listen()
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    user = "" if auth else f"falco:{TOKEN}@"  # libcurl makes basic authentication of it
    body = (GOLDEN / f"{case}.raw.json").read_bytes()
    try:
        with httpx.Client(trust_env=False, timeout=120) as client:
            url = f"http://{user}127.0.0.1:{reader.port}/"
            answer = client.post(url, content=body, headers=auth)
    finally:
        reader.stopping.set()
        thread.join(120)
        reader.close()
    assert answer.status_code == 200
    units = [unit for record in taken for unit in connector.split(record.value)]
    assert [json.loads(unit) for unit in units]
    assert len(units) == events
    assert all(validate(connector.to_ocsf(unit)) == [] for unit in units)
