"""When a message is due: digests, quiet hours, days the clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.subscribers.model import Options
from sentinel.subscribers.schedule import due


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("options", "now", "expected"),
    [
        ({}, "2026-03-01 10:00", "2026-03-01 10:00"),
        ({"digest": {"every": "15m"}}, "2026-03-01 10:00", "2026-03-01 10:15"),
        ({"digest": {"every": "1h"}}, "2026-03-01 10:59:59", "2026-03-01 11:00"),
        ({"digest": {"every": "4h"}}, "2026-03-01 23:00", "2026-03-02 00:00"),
        ({"digest": {"every": "1d", "at": "09:00"}}, "2026-03-01 09:00", "2026-03-02 09:00"),
        (
            {"digest": {"every": "1d", "at": "09:00", "timezone": "Europe/Vienna"}},
            "2026-03-28 09:00",
            "2026-03-29 07:00",  # summer time begins that night
        ),
        ({"quiet": {"start": "22:00", "end": "07:00"}}, "2026-03-01 21:59", "2026-03-01 21:59"),
        ({"quiet": {"start": "22:00", "end": "07:00"}}, "2026-03-01 22:00", "2026-03-02 07:00"),
        ({"quiet": {"start": "22:00", "end": "07:00"}}, "2026-03-02 06:59", "2026-03-02 07:00"),
        ({"quiet": {"start": "22:00", "end": "07:00"}}, "2026-03-02 07:00", "2026-03-02 07:00"),
        (
            # of Saturday alone: Sunday morning is quiet, Sunday night is not
            {"quiet": {"start": "22:00", "end": "07:00", "weekdays": [6]}},
            "2026-03-01 06:00",
            "2026-03-01 07:00",
        ),
        (
            {"quiet": {"start": "22:00", "end": "07:00", "weekdays": [6]}},
            "2026-03-01 23:00",
            "2026-03-01 23:00",
        ),
    ],
)
def test_when(options, now, expected):
    found = due(Options(**options), at(now), "high")
    assert found.at == at(expected)
    assert found.held == (expected != now)


def test_what_is_urgent_is_due_at_once():
    options = Options(digest={"every": "1d"}, quiet={"start": "00:00", "end": "23:59"})
    now = at("2026-03-01 10:00")
    assert due(options, now, "critical") == (now, False)
    assert due(options, now, "high").held
    never = options.model_copy(update={"urgent": None})
    assert due(never, now, "critical").held


@given(
    now=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001
    every=st.sampled_from(["15m", "1h", "4h", "1d"]),
    zone=st.sampled_from(["UTC", "Europe/Vienna", "America/New_York", "Australia/Lord_Howe"]),
)
def test_a_digest_comes_later_and_not_much_later_than_its_period(now, every, zone):
    here = now.replace(tzinfo=UTC)
    found = due(Options(digest={"every": every, "timezone": zone}, urgent=None), here, "low")
    period = {"15m": 0.25, "1h": 1, "4h": 4, "1d": 24}[every]
    assert timedelta() < found.at.astimezone(UTC) - here <= timedelta(hours=period + 1.01)
