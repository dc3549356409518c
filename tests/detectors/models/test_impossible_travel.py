"""Impossible travel: what is, and the many things that only look like it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from detectors.models.impossible_travel import TWO_MS, ImpossibleTravel, distance_km

MONDAY, HOUR = 1_767_571_200_000, 3_600_000


class Place(NamedTuple):
    lat: float | None = None
    long: float | None = None
    asn: int = 0
    radius_km: float = 5.0
    flags: tuple[str, ...] = ()


PLACES = {
    "192.0.2.1": Place(52.37, 4.90, 64496),  # Amsterdam
    "192.0.2.2": Place(52.09, 5.12, 64497),  # Utrecht
    "198.51.100.1": Place(-41.29, 174.78, 64498),  # Wellington
    "198.51.100.2": Place(-41.29, 174.78, 64496),  # Wellington, Amsterdam's provider
    "198.51.100.3": Place(-41.29, 174.78, 64499, flags=("anonymous_vpn",)),
    "203.0.113.1": Place(48.85, 2.35, 64500, radius_km=1000.0),  # somewhere in France
}


def locate(addresses):
    return [PLACES.get(address) for address in addresses]


def journey(event_batch, *stops: tuple[str, float], known: bool = True) -> list[float]:
    """Return the scores of one entity's events at (address, hour)."""
    events = [{"src_ip": where, "time": MONDAY + int(hour * HOUR)} for where, hour in stops]
    model = ImpossibleTravel(locate) if known else ImpossibleTravel()
    batch = event_batch(events)
    return model.score_learn(batch, np.arange(len(batch))).tolist()


def test_distance_is_that_on_the_sphere() -> None:
    assert distance_km(52.37, 4.90, -41.29, 174.78) == pytest.approx(18_565, rel=0.001)
    assert distance_km(10.0, 20.0, 10.0, 20.0) == 0


def test_half_the_world_in_an_hour_is_impossible_in_a_day_it_is_a_flight(event_batch) -> None:
    assert journey(event_batch, ("192.0.2.1", 0), ("198.51.100.1", 1))[-1] == 0.8
    assert journey(event_batch, ("192.0.2.1", 0), ("198.51.100.1", 26))[-1] == 0


@pytest.mark.parametrize(
    "other",
    [
        pytest.param("192.0.2.1", id="same address"),
        pytest.param("192.0.2.2", id="the next town"),
        pytest.param("198.51.100.2", id="same provider"),
        pytest.param("198.51.100.3", id="known VPN"),
        pytest.param("203.0.113.1", id="accurate to 1,000 km"),
        pytest.param("10.0.0.7", id="nowhere"),
        pytest.param("s3.amazonaws.com", id="a service"),
    ],
)
def test_what_is_no_evidence(event_batch, other) -> None:
    assert journey(event_batch, ("192.0.2.1", 0), (other, 0.1))[-1] == 0


def test_a_vpn_in_between_does_not_hide_the_journey(event_batch) -> None:
    stops = (("192.0.2.1", 0), ("198.51.100.3", 0.5), ("198.51.100.1", 1))
    assert journey(event_batch, *stops)[-1] == 0.8


def test_who_hops_all_day_becomes_quiet(event_batch) -> None:
    stops = [(("192.0.2.1", "198.51.100.1")[n % 2], n / 10) for n in range(40)]
    found = journey(event_batch, *stops)
    assert found[1:4] == pytest.approx([0.8, 0.4, 0.8 / 3], abs=0.01)
    assert found[-1] < 0.03


def test_a_late_event_is_no_journey_back(event_batch) -> None:
    assert journey(event_batch, ("192.0.2.1", 5), ("198.51.100.1", 4)) == [0, 0]


def test_without_places_two_networks_at_once_are_seen(event_batch) -> None:
    minute = 1 / 60
    past = [("10.1.0.1", n * minute) for n in range(40)]
    there = ("203.0.113.9", 41 * minute)
    found = journey(event_batch, *past, there, ("10.1.0.2", 42 * minute), known=False)
    assert found[:-1] == [0] * 41
    assert found[-1] == 0.4
    late = 41 * minute + TWO_MS / HOUR + 1
    assert journey(event_batch, *past, there, ("10.1.0.2", late), known=False)[-1] == 0


def test_the_explanation_has_distance_and_speed(event_batch) -> None:
    batch = event_batch(
        [
            {"src_ip": "192.0.2.1", "time": MONDAY},
            {"src_ip": "198.51.100.1", "time": MONDAY + HOUR},
        ]
    )
    model = ImpossibleTravel(locate)
    model.score_learn(batch, np.arange(2))
    said = model.explain(batch, 1, 0.8)
    assert "km at 18," in said["baseline"]["compared_with"]
    assert said["contributions"][0]["value"] == "198.51.100.1"
