"""Events judged once for all that are alike: keywords read the whole text, so none is alike."""

import json

import pytest

from connectors.cloudtrail import MANY, CloudTrail
from tests.detectors.sigma_rules import load

CONDITIONS = ["keywords", "selection and keywords", "selection and not keywords"]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_keywords_are_searched_in_every_event_of_a_large_batch(tmp_path, condition):
    """A rule with keywords matches what it matches one by one, and stops nothing."""
    rules = load(
        tmp_path,
        {"selection": {"eventName": "Look"}, "keywords": ["needle"], "condition": condition},
    )
    raws = [
        json.dumps({
            "eventVersion": "1.09", "eventTime": "2026-01-05T08:00:00Z", "eventName": "Look",
            "eventSource": "ec2.amazonaws.com", "eventID": str(number),
            "requestParameters": {"note": "a needle" if number % 5 == 0 else "hay"},
        }).encode()
        for number in range(MANY + 10)
    ]  # fmt: skip
    connector = CloudTrail()
    decoder = connector.decoder(frozenset(rules.rules[0].fields))
    matcher = rules.matcher(decoder.getter, decoder.text)
    together = [row for row, _ in matcher.match(connector.decode_all(decoder, raws))]
    assert not matcher.errors
    assert together == [row for row, _ in matcher.match([decoder.decode(raw) for raw in raws])]
    assert 0 < len(together) < len(raws)
