"""The monitor's picture: a heat map of rates, bank by bank, and what was unusual."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from sentinel.cli._bci.watching import View

#: Colours from silent to fast, and the rate, Hz, from which each counts.
HEAT: Final = (
    (0.0, "grey23"), (0.5, "navy_blue"), (2.0, "blue"), (5.0, "dark_cyan"), (10.0, "green"),
    (20.0, "yellow3"), (40.0, "orange1"), (80.0, "red"), (160.0, "bright_white"),
)  # fmt: skip
#: Colour of channels of which no rates are known.
PLAIN: Final = "green"
#: Channels in a line of a bank.
WIDE: Final = 16
#: Banks beside each other.
BESIDE: Final = 4


def picture(view: View) -> RenderableType:
    """Return what the terminal shows."""
    row = view.row()
    late = (
        f"{row['latency_p50_ms']} / {row['latency_p99_ms']} ms"
        if row["latency_p50_ms"] is not None
        else "none yet"
    )
    head = Text.assemble(
        (f"{view.session or 'waiting for a recording'}", "bold"),
        f"   {row['channels']} channels   {_spikes(row)}"
        f"   behind {row['behind_s']:.2f} s   latency p50 / p99 {late}"
        f"   artefacts {row['artefacts']}   gaps {row['gaps']}   bad {row['bad_channels']}",
    )
    grid = Table.grid(padding=(0, 2))
    cells = [_bank(number, event) for number, event in sorted(view.banks.items())]
    for first in range(0, len(cells), BESIDE):
        grid.add_row(*cells[first : first + BESIDE])
    powers = "   ".join(f"{name} {power:.4g}" for name, power in row["band_uv2"].items())
    unusual = Panel("\n".join(view.recent) or "-", title="unusual")
    return Group(head, Text(f"µV²   {powers or '-'}"), grid, _legend(), unusual)


def _spikes(row: dict[str, Any]) -> str:
    """Say how many spikes there are, or that none are looked for."""
    if row["spikes_per_s"] is not None:
        return f"{row['spikes_per_s']:.0f} spikes/s"
    return f"no room for spikes at {row['fs']:g} Hz" if row["fs"] else "0 spikes/s"


def _bank(number: int, event: dict[str, Any]) -> Text:
    """Return a bank: a coloured place a channel; a bad one is pale."""
    text = Text(f"bank {number}\n")
    states = event["state"]
    rates = event.get("rate_hz")
    colours = [PLAIN] * len(states) if rates is None else [_colour(rate) for rate in rates]
    for channel, (colour, state) in enumerate(zip(colours, states, strict=True)):
        text.append("██" if state == "good" else "▒▒", colour)
        if channel % WIDE == WIDE - 1:
            text.append("\n")
    return text


def _colour(rate: float) -> str:
    limits = [limit for limit, _ in HEAT]
    return HEAT[int(np.searchsorted(limits, rate, "right")) - 1][1]


def _legend() -> Text:
    text = Text("Hz  ")
    for limit, colour in HEAT:
        text.append("██", colour)
        text.append(f" {limit:g}  ")
    text.append("▒▒ bad channel")
    return text
