"""What ``sentinel bci monitor`` shows of recordings with and without room for spikes."""

from __future__ import annotations

import pytest
from rich.console import Console

from sentinel.cli._bci.screen import picture
from sentinel.cli._bci.watching import View


def seen(fs: float, **more: object) -> View:
    """Return the view of a second of two channels, one of them bad."""
    view = View()
    event = {
        "session": "s", "bank": 0, "kind": "activity", "fs": fs, "time": "2026-11-21T20:00:00.000Z",
        "state": ["good", "flat"], "band_uv2": {"alpha": [50.0, 70.0]}, **more,
    }  # fmt: skip
    view.event(event, 1.8e9)
    return view


@pytest.mark.parametrize(
    ("view", "spikes", "said"),
    [
        (seen(250.0), None, "no room for spikes at 250 Hz"),
        (seen(30_000.0, rate_hz=[20.0, 0.0]), 20.0, "20 spikes/s"),
    ],
)
def test_rates_are_told_where_there_can_be_spikes_and_bands_always(view, spikes, said):
    row = view.row()
    assert (row["channels"], row["bad_channels"], row["spikes_per_s"]) == (2, 1, spikes)
    assert row["band_uv2"] == {"alpha": 60.0}
    console = Console(width=300)
    with console.capture() as shown:
        console.print(picture(view))
    assert said in shown.get()
    assert "alpha 60" in shown.get()


def test_before_anything_came_nothing_is_said_of_spikes():
    row = View().row()
    assert (row["channels"], row["spikes_per_s"], row["band_uv2"]) == (0, None, {})
    console = Console(width=300)
    with console.capture() as shown:
        console.print(picture(View()))
    assert "waiting for a recording" in shown.get()
