"""What a promoted batch model's alert says of the indicators that raised it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from detectors.batch_models.live import Live
from detectors.batch_models.train import points_of, train
from detectors.detect import Detector
from detectors.scoring.choose import online_models

WEIGHT = 0.9
ODD = {
    "operation": "DeleteTrail", "service": "cloudtrail", "src_ip": "198.51.100.7",
    "user_agent": "kali", "class_uid": 3001, "region": "ap-east-1", "status_id": 2,
}  # fmt: skip


@pytest.mark.parametrize("known", [False, True])
def test_the_alert_names_the_indicator_that_raised_it(event_batch, company, known) -> None:
    events = [event | {"tenant": "acme"} for event in company]
    usual = event_batch(events)
    live = Live("isolation_forest", [(0, 1)], {1: train(points_of([usual])).model})
    late = event_batch([events[-1] | ODD], first=len(events))
    if known:
        late.weight = np.array([WEIGHT], np.float32)
    detector = Detector(
        online_models(), 0.3, together=True, shelf=lambda: {("acme", "cloudtrail"): [live]}
    )
    detector.process(usual, 0)
    found = detector.process(late, 1).signals
    (signal,) = [each for each in found if each["rule_id"] == live.id]
    why = json.loads(signal["explanation"])
    assert why["baseline"]["version"] == 1
    told = why["baseline"].get("intelligence", "")
    assert told == known * "198.51.100.7: indicators of weight 0.90 raise the score by 1.45"
