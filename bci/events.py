"""Neural events as JSON objects: ``schemas/neural_event.schema.json`` describes them.

Each has an id made of session, bank, kind and device sample, so the same samples give the
same ids however often they are read. Arrays rather than one object a spike: a second of 64
channels is one event, which a webhook node can take.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bci.block import Bank
from bci.engine import Spikes
from bci.engine.plan import TILE
from bci.unusual.activity import STATES, Unusual
from bci.unusual.rhythm import TIMES, Rhythmic

Event = dict[str, Any]
VERSION: Final = 1
#: Spikes in one event at most.
MOST_SPIKES: Final = 5000
#: Stimuli that are told one by one.
MOST_STIMULI: Final = 1000
#: Kinds that tell of something unusual: they go to ``raw.bci_event``, where rules see them.
NOTABLE: Final = frozenset(
    {"burst", "synchrony", "rate_shift", "channel_health", "artefact", "stimulus", "gap"}
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _event(bank: Bank, kind: str, first: int, last: int, message: str, **more: Any) -> Event:
    """Return what all kinds have in common, and `more`."""
    when = _EPOCH + timedelta(microseconds=bank.epoch + round(last * 1e6 / bank.fs))
    return {
        "version": VERSION,
        "id": f"{bank.session}/{bank.number}/{kind}/{first}",
        "kind": kind,
        "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "session": bank.session,
        "bank": bank.number,
        "fs": bank.fs,
        "first": first,
        "last": last,
        "message": message,
        **more,
    }


def _ms(bank: Bank, first: int, last: int) -> float:
    return round((last - first) * 1000 / bank.fs, 3)


def spike_batches(bank: Bank, first: int, last: int, spikes: Spikes) -> Iterator[Event]:
    """Yield the spikes of a second, `MOST_SPIKES` an event."""
    for start in range(0, len(spikes.sample), MOST_SPIKES):
        part = slice(start, start + MOST_SPIKES)
        sample = spikes.sample[part]
        begin = int(sample[0]) if start else first
        unit = spikes.unit[part]
        yield _event(
            bank,
            "spike_batch",
            begin,
            last,
            f"{len(sample)} spikes",
            sample=sample.tolist(),
            channel=(spikes.channel[part] + bank.number * TILE).tolist(),
            amplitude_uv=_rounded(spikes.amplitude[part]),
            **({"unit": unit.tolist()} if (unit >= 0).any() else {}),
        )


def activity(
    bank: Bank,
    first: int,
    last: int,
    rates: NDArray[np.float64] | None,
    sigma: NDArray[np.float32],
    state: NDArray[np.int64],
    powers: Mapping[str, NDArray[np.float32]],
) -> Event:
    """Return rates, noise, health and band power of every channel in a second.

    No rates where the sampling rate leaves no room for spikes: 0 would say that there are none.
    """
    said = (
        f"no room for spikes at {bank.fs:g} Hz"
        if rates is None
        else f"{rates.sum():.0f} spikes a second"
    )
    return _event(
        bank,
        "activity",
        first,
        last,
        f"{said} on {bank.channels} channels",
        **({} if rates is None else {"rate_hz": _rounded(rates)}),
        noise_uv=_rounded(sigma),
        state=[STATES[each] for each in state.tolist()],
        band_uv2={name: _rounded(power, 3) for name, power in powers.items()},
    )


def unusual(bank: Bank, first: int, last: int, found: Unusual) -> Iterator[Event]:
    """Yield what `bci.unusual.activity` saw in a second."""
    for burst in found.bursts:
        ms = _ms(bank, burst.first, burst.last)
        yield _event(
            bank, "burst", burst.first, burst.last,
            f"{burst.channels} channels fired together for {ms:.0f} ms",
            spikes=burst.spikes, channels=burst.channels, duration_ms=ms,
        )  # fmt: skip
    for each in found.synchrony:
        ms = _ms(bank, each.first, each.last)
        yield _event(
            bank, "synchrony", each.first, each.last,
            f"{each.bursts} bursts of most channels within {ms / 1000:.1f} s",
            bursts=each.bursts, duration_ms=ms,
        )  # fmt: skip
    if (shift := found.shift) is not None:
        columns = (shift.channels.tolist(), _rounded(shift.before), _rounded(shift.now))
        rows = [
            {**_named(bank, channel), "before_hz": before, "now_hz": now}
            for channel, before, now in zip(*columns, strict=True)
        ]
        message = f"the rates of {len(rows)} channels changed"
        yield _event(bank, "rate_shift", first, last, message, channels=rows)
    if found.changes:
        rows = [
            {**_named(bank, each.channel), "was": STATES[each.was], "state": STATES[each.state]}
            for each in found.changes
        ]
        message = ", ".join(f"{row['label']} {row['state']}" for row in rows[:5])
        more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
        bad = any(each.state for each in found.changes)
        yield _event(bank, "channel_health", first, last, message + more, channels=rows, bad=bad)


def rhythm(bank: Bank, found: Rhythmic) -> Event:
    """Return that most channels oscillate as in a seizure: synchrony without spikes."""
    ms = _ms(bank, found.first, found.last)
    return _event(
        bank, "synchrony", found.first, found.last,
        f"{found.channels} channels at {TIMES:g} times their usual amplitude (4 to 30 Hz) for "
        f"{ms / 1000:.1f} s",
        bursts=found.seconds, duration_ms=ms,
    )  # fmt: skip


def artefact(bank: Bank, spans: NDArray[np.int64]) -> Event:
    """Return the artefacts of a second; int64[n, 2], first and last sample of each."""
    blanked = float((spans[:, 1] - spans[:, 0] + 1).sum() * 1000 / bank.fs)
    return _event(
        bank, "artefact", int(spans[:, 0].min()), int(spans[:, 1].max()),
        f"{len(spans)} artefacts, {blanked:.1f} ms blanked",
        count=len(spans), blanked_ms=round(blanked, 3),
    )  # fmt: skip


def stimulus(bank: Bank, spans: Sequence[tuple[int, int]]) -> Event:
    """Return the stimuli of a second."""
    first, last = min(each[0] for each in spans), max(each[1] for each in spans)
    return _event(
        bank, "stimulus", first, last, f"{len(spans)} stimuli",
        count=len(spans), spans=[list(each) for each in spans[:MOST_STIMULI]],
    )  # fmt: skip


def gap(bank: Bank, expected: int, found: int) -> Event:
    """Return that samples are missing, or that the counter went back."""
    missing = found - expected
    said = (
        f"{missing} samples ({missing * 1000 / bank.fs:.1f} ms) are missing"
        if missing > 0
        else f"the device's counter went back by {-missing} samples"
    )
    return _event(bank, "gap", expected, found, said, missing_samples=missing, reset=missing < 0)


def _named(bank: Bank, channel: int) -> dict[str, Any]:
    return {"channel": bank.number * TILE + channel, "label": bank.label(channel)}


def _rounded(values: NDArray[Any], digits: int = 2) -> list[float]:
    """Return numbers as short as they are good."""
    found: list[float] = np.round(values.astype(np.float64), digits).tolist()
    return found
