"""What of the neural engine is configured, with defaults and their reasons."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Literal

#: Share of the sampling rate up to which a band-pass may reach: the filter ends at half of it.
TOP: Final = 0.45
#: Width of the band of spikes at least, as a ratio: in less than an octave the band-pass itself
#: rings for longer than a spike lasts, and every excursion of the noise looks like one.
OCTAVE: Final = 2.0
#: Where there is no room for spikes: lower edge, Hz, of the band in which noise and artefacts are
#: looked for; above the drift of electrodes, below most of an EEG.
FIELD_HZ: Final = 5.0
#: A threshold, σ, that nothing reaches.
NEVER: Final = 1e30


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Settings of `bci.engine.Engine`; times in ms, frequencies in Hz.

    Attributes
    ----------
    low_hz, high_hz, order
        Band-pass (Butterworth, causal). Order 2 has four poles: steep enough for spikes, and
        every further pole smears the trough.
    reference
        ``car``: the mean of all good channels of a bank is taken off, where there are three or
        more: that of fewer is mostly the signal itself; ``local``: that of a
        channel's `neighbours`; ``none``.
    threshold
        Detection threshold in σ until the prototype is learnt, and with `matched` False.
    matched
        Whether a whitened matched filter takes over once its prototype is learnt.
    gate, sort_gate
        Only troughs below this many σ are looked at by the matched filter: at 3, of spikes that
        it finds one in a thousand fewer than at 2.5, in three quarters of the time; and where
        channels have neighbours, which all see a spike.
    matched_threshold
        Detection threshold of the matched filter, in σ of its output on noise; for channels
        without `levels` of their own.
    levels
        Whether, in banks where no channel has a neighbour, each channel gets a threshold of its
        own, from how its scores are distributed: see `bci.engine.units.levels`. Where small
        spikes of many neurons are the noise, F1 is 0.05 higher than with the best threshold
        for all.
    level_s
        Such thresholds are made after so many seconds of the matched filter, and again and
        again after as many more.
    level_odds
        How much likelier than the background a neuron must be at the threshold. Where F1 is
        highest, the next detection is right with half of F1 as probability (Lipton, Elkan and
        Naryanaswamy 2014, *ECML PKDD*), so odds of 0.5 to 0.8 for F1 from 0.67 to 0.9. This,
        and what else `levels` go by, was chosen on recordings of their own (the seeds 101 to
        104 of ``bench.bci_quality``), not on those that F1 is told of.
    exclusive_ms
        Of detections on neighbouring channels within this time only the strongest counts.
    radius_um
        Channels this near are neighbours.
    spread_um
        Distance at which a spike has 1/e of its amplitude: how much the channels around count
        in the matched filter.
    refractory_ms
        Shortest time between two detections on one channel.
    before_ms, after_ms
        Snippet around the trough, and support of the matched filter.
    learn_s, learn_spikes
        The prototype of a spike is learnt at this time of the stream, or at the first whole
        multiple of `relearn_s` after it at which that many spikes were seen.
    sort
        Whether banks whose channels have neighbours learn templates of single units, and go
        by those: spikes at the same time are told apart, and get the number of a unit.
    sort_s
        Units are learnt from what the matched filter finds in so many seconds.
    sort_from
        Score from which on a trough is a lesson.
    unit_gain
        A spike of a unit must be likelier than noise by this much (natural logarithm).
    unit_trough
        Units whose mean trough is smaller, in σ, are not told; their spikes are taken off
        what others are found in all the same.
    noise_every
        Every how many samples the noise is looked at; a prime, so that mains hum is not met
        at the same phase.
    noise_rows, noise_rate
        Looks of which the median is one estimate, and its weight in the running one.
    artefact_share, artefact_sigmas
        An artefact is where this share of a bank's channels (at least 8) is beyond so many σ.
    artefact_before_ms, artefact_after_ms
        What is blanked around it; nothing is detected there and the noise estimate stands still.
    settle_ms
        Nothing is detected for so long after the beginning and after a gap: filters ring.
    """

    low_hz: float = 300.0
    high_hz: float = 6000.0
    order: int = 2
    reference: Literal["car", "local", "none"] = "car"
    threshold: float = 5.0
    matched: bool = True
    gate: float = 3.0
    sort_gate: float = 2.5
    matched_threshold: float = 6.5
    levels: bool = True
    level_s: float = 12.0
    level_odds: float = 0.5
    exclusive_ms: float = 0.4
    radius_um: float = 75.0
    spread_um: float = 25.0
    refractory_ms: float = 0.8
    before_ms: float = 0.4
    after_ms: float = 0.8
    learn_s: float = 8.0
    learn_spikes: int = 100
    relearn_s: float = 4.0
    sort: bool = True
    sort_s: float = 12.0
    sort_from: float = 5.0
    unit_gain: float = 8.0
    unit_trough: float = 3.0
    noise_every: int = 61
    noise_rows: int = 512
    noise_rate: float = 0.3
    artefact_share: float = 0.5
    artefact_sigmas: float = 5.0
    artefact_before_ms: float = 0.3
    artefact_after_ms: float = 1.0
    settle_ms: float = 10.0
    bad_channels: tuple[int, ...] = field(default=())


def spikes_from(settings: EngineSettings) -> float:
    """Return the lowest sampling rate, Hz, at which spikes are looked for.

    There the band has the width of an octave; 1,333 Hz with the default `low_hz`.

    Examples
    --------
    >>> round(spikes_from(EngineSettings()))
    1333
    """
    return OCTAVE * settings.low_hz / TOP


def without_spikes(settings: EngineSettings, fs: float) -> EngineSettings:
    """Return settings for a rate below `spikes_from`: noise and artefacts, never a spike.

    The recording's own reference is kept: what all electrodes have in common counts here.
    Noise is looked at in every sample, and filters get a second to settle, for both are slow.
    """
    return replace(
        settings,
        low_hz=FIELD_HZ,
        high_hz=TOP * fs,
        reference="none",
        threshold=NEVER,
        matched=False,
        sort=False,
        noise_every=1,
        artefact_after_ms=100.0,
        settle_ms=1000.0,
    )
