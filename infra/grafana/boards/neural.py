"""Neural recordings: spikes, channels, bands and how far behind."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from infra.grafana.boards.panels import board, lines, pick

BANK = 'bank=~"$bank"'


def dashboard() -> Dashboard:
    """Return the dashboard."""
    made = board("neural", "Neural", "Spikes, channel health, band power, latency.", "now-15m")
    made = made.with_variable(pick("bank", "Bank", "label_values(sentinel_neural_channels, bank)"))
    made = made.with_panel(
        lines(
            "Spikes",
            "Detected a second.",
            ("sum by (tenant) (rate(sentinel_neural_spikes_total[1m]))", "{{tenant}}"),
            unit="ops",
        )
    ).with_panel(
        lines(
            "Firing rate",
            "Spikes a second and channel, by bank.",
            (f"sentinel_neural_rate_hz{{{BANK}}}", "{{bank}}"),
            unit="hertz",
        )
    )
    made = made.with_panel(
        lines(
            "Channels by health",
            "Of each bank.",
            (f"sum by (state) (sentinel_neural_channels{{{BANK}}})", "{{state}}"),
        )
    ).with_panel(
        lines(
            "Band power",
            "Median over a bank's channels, µV².",
            (f"avg by (band) (sentinel_neural_band_uv2{{{BANK}}})", "{{band}}"),
        )
    )
    return made.with_panel(
        lines(
            "Behind",
            "Seconds from when a block left its reader until what it gave was handed on.",
            (f"sentinel_neural_behind_seconds{{{BANK}}}", "{{bank}}"),
            unit="s",
        )
    ).with_panel(
        lines(
            "Events",
            "Neural events by kind, a minute.",
            ("sum by (kind) (increase(sentinel_neural_events_total[1m]))", "{{kind}}"),
        )
    )
