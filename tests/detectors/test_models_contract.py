"""What every online model promises, over all that are discovered."""

from __future__ import annotations

import inspect
import json
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detectors.base import Model
from detectors.scoring.choose import all_models, online_models
from sentinel.errors import SchemaError, SettingsError

MODELS = all_models()
MONDAY, HOUR = 1_767_571_200_000, 3_600_000
PARTS = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(params=MODELS, ids=lambda model: model.__name__)
def model(request: pytest.FixtureRequest):
    if request.param.id not in TRAVEL:
        return request.param
    plain = request.param
    said = {"__doc__": plain.__doc__, "__module__": plain.__module__}
    start = {"__init__": lambda self: plain.__init__(self, locate=whereabouts)}
    return type(plain.__name__, (plain,), said | start)


class Place(NamedTuple):
    """Where the tests say an address is."""

    lat: float
    long: float
    country: str = ""
    asn: int = 0
    radius_km: float = 0.0
    flags: tuple[str, ...] = ()


def whereabouts(addresses):
    """Put odd addresses of the company on the other side of the world."""
    return [
        Place(-41.0, 174.0) if name.startswith("203.") else Place(52.0, 5.0) for name in addresses
    ]


#: What a model needs besides events, and whether its story takes weeks to tell.
TRAVEL, WEEKS = {"model.impossible_travel"}, {"model.rate_shift", "model.volume"}
#: No state grows with entities or values.
CONSTANT = {"model.volume"}


class Story(list):
    """Events that are not printed whole."""

    def __repr__(self) -> str:
        return f"<{len(self)} events>"


@pytest.fixture
def story(model, company):
    """Return events in which the model finds something: the company's, or weeks of it."""
    if model.id not in WEEKS:
        return company
    hours = [hour for hour in range(21 * 24) for _ in range(2 + (hour % 24 == 9) * 3)]
    times = [MONDAY + hour * HOUR + n for n, hour in enumerate([*hours, *[21 * 24] * 428])]
    times.append(MONDAY + (21 * 24 + 1) * HOUR)
    same = {"entity": "batch", "tenant": "acme"}
    return Story(company[n % 1500] | same | {"time": time} for n, time in enumerate(times))


def run(model: Model, batches) -> list[float]:
    return [
        score
        for batch in batches
        for score in model.score_learn(batch, np.arange(len(batch))).tolist()
    ]


def test_ids_are_distinct_and_say_that_they_are_models() -> None:
    ids = [model.id for model in MODELS]
    assert len(set(ids)) == len(ids) >= 2
    assert all(name.startswith("model.") for name in ids)


def test_the_default_ones_run_unless_others_are_named() -> None:
    assert {model.id for model in online_models()} == {m.id for m in MODELS if m.default}
    named = online_models(["half_space_trees", "model.new_value"])
    assert {model.id for model in named} == {"model.half_space_trees", "model.new_value"}
    with pytest.raises(SettingsError, match=r"expected models among .*, found \['astrology'\]"):
        online_models(["astrology"])


def test_has_words_for_people(model) -> None:
    assert inspect.getdoc(model)
    assert inspect.getdoc(inspect.getmodule(model))
    assert model.title
    assert all(technique.startswith("T") for technique in model.techniques)


def test_scores_are_probabilities_and_some_events_stand_out(model, event_batch, story) -> None:
    scores = run(model(), [event_batch(story)])
    assert len(scores) == len(story)
    assert 0 <= min(scores) <= max(scores) <= 1
    assert max(scores) > 0.3
    assert np.median(scores) < 0.2


def test_first_events_are_quiet(model, event_batch, company) -> None:
    assert run(model(), [event_batch(company[:25])]) == [0.0] * 25


@PARTS
@given(cuts=st.lists(st.integers(1, 1499), max_size=12))
def test_batch_boundaries_do_not_matter(model, event_batch, cut_batch, story, cuts) -> None:
    batch = event_batch(story)
    assert run(model(), cut_batch(batch, cuts)) == run(model(), [batch])


@PARTS
@given(at=st.integers(0, 1500))
def test_continues_from_a_snapshot_bit_for_bit(model, event_batch, story, at) -> None:
    whole, first = model(), model()
    expected = run(whole, [event_batch(story)])
    found = run(first, [event_batch(story[:at])])
    second = model()
    second.restore(first.snapshot())
    found += run(second, [event_batch(story[at:], first=at)])
    assert found == expected
    assert second.snapshot() == whole.snapshot()
    assert second.evictions == whole.evictions


def test_only_the_rows_asked_for_are_learnt(model, event_batch, company) -> None:
    batch = event_batch(company)
    rows = np.flatnonzero(np.arange(len(company)) % 3 != 1)
    one, other = model(), model()
    picked = event_batch([company[row] for row in rows])
    picked.time[:] = batch.time[rows]
    assert one.score_learn(batch, rows).tolist() == run(other, [picked])
    assert one.snapshot() == other.snapshot()


def test_does_not_change_the_batch(model, event_batch, company) -> None:
    batch = event_batch(company)
    before = batch.encode()
    run(model(), [batch])
    assert batch.encode() == before


def test_empty_and_absurd_fields_are_scored(model, event_batch, company) -> None:
    names = ("entity", "operation", "service", "src_ip", "user_agent", "region")
    empty = dict.fromkeys(names, "")
    odd = [
        empty,
        empty | {"time": -(2**60)},
        empty | {"time": 2**60, "class_uid": -1, "activity_id": 2**31 - 1, "status_id": 99},
        {"entity": "x" * 100_000, "operation": "\x00\U0001f600"},
    ]
    scores = run(model(), [event_batch(company + odd + company[:10])])
    assert np.isfinite(scores).all()
    assert 0 <= min(scores) <= max(scores) <= 1


def test_state_stays_bounded_and_evictions_are_counted(model, event_batch) -> None:
    one = model()
    if one.id in CONSTANT:
        pytest.skip("its state does not grow with what events say")
    for start in range(0, 60_000, 5000):
        events = [
            {"entity": f"e{n}", "src_ip": f"ip{n}", "operation": f"o{n}", "time": 1000 * n}
            for n in range(start, start + 5000)
        ]
        run(one, [event_batch(events, first=start)])
    assert one.evictions > 0
    assert len(one.snapshot()) < 1_000_000


def test_explains_its_highest_score(model, event_batch, story) -> None:
    batch, one = event_batch(story), model()
    scores = one.score_learn(batch, np.arange(len(batch)))
    row = int(np.argmax(scores))
    said = one.explain(batch, row, float(scores[row]))
    assert said.keys() == {"contributions", "baseline", "cold_start", "quiet"}
    weights = [part["weight"] for part in said["contributions"]]
    assert weights == sorted(weights, reverse=True)
    assert sum(weights) == pytest.approx(1, abs=0.01)
    assert isinstance(said["cold_start"], bool)
    assert json.loads(json.dumps(said)) == said


@pytest.mark.parametrize("state", [b"", b"\xff" * 40, b"\x93\xa1x\x01\x80"])
def test_another_snapshot_is_refused(model, state) -> None:
    with pytest.raises(SchemaError, match=r"expected a snapshot of model\."):
        model().restore(state)
