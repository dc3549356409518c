"""Whether the stream keeps up, and loses nothing."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from infra.grafana.boards.panels import board, heat, lines, number, pick

STAGE = 'stage=~"$stage"'


def dashboard() -> Dashboard:
    """Return the dashboard."""
    made = board(
        "pipeline", "Pipeline", "Throughput, lag, latency, errors and the ledger.", "now-1h"
    )
    made = made.with_variable(
        pick("stage", "Stage", "label_values(sentinel_received_total, stage)")
    )
    for panel in _figures():
        made = made.with_panel(panel)
    for title, panels in (("Flow", _flow()), ("Time", _time()), ("Trouble", _trouble())):
        made = made.with_row(Row(title))
        for panel in panels:
            made = made.with_panel(panel)
    return made


def _figures() -> list[Any]:
    return [
        number(
            "Events a second",
            "Taken in by normalize, over the last five minutes.",
            "sum(stage:sentinel_received:rate5m{stage='normalize'})",
            "ops",
        ),
        number("Lag", "Records not yet processed, all stages.", "sum(sentinel_lag)"),
        number(
            "Ledger",
            "Events that are unaccounted for: anything but zero is a bug.",
            "max(sentinel_ledger_balance)",
        ),
        number(
            "Arrival to end, p99",
            "From arrival at the raw topic until stored.",
            "histogram_quantile(0.99, sum by (le) "
            "(rate(sentinel_arrival_latency_seconds_bucket{stage='correlate'}[5m])))",
            "s",
        ),
        number(
            "Dead letters", "In the last hour.", "sum(increase(sentinel_dead_lettered_total[1h]))"
        ),
        number("Workers", "Processes that are scraped.", 'sum(up{job="sentinel-worker"})'),
    ]


def _flow() -> list[Any]:
    return [
        lines(
            "Received",
            "Events, signals or alerts a stage took in, a second.",
            (f"sum by (stage) (stage:sentinel_received:rate5m{{{STAGE}}})", "{{stage}}"),
            unit="ops",
        ),
        lines(
            "Emitted",
            "What a stage passed on, a second.",
            (f"sum by (stage) (rate(sentinel_emitted_total{{{STAGE}}}[5m]))", "{{stage}}"),
            unit="ops",
        ),
        lines(
            "Lag",
            "Records of each stage not yet processed.",
            (f"sum by (stage) (sentinel_lag{{{STAGE}}})", "{{stage}}"),
        ),
        lines(
            "Events a batch",
            "Mean size of what a stage handles at a time.",
            (
                f"sum by (stage) (rate(sentinel_batch_size_sum{{{STAGE}}}[5m])) / "
                f"sum by (stage) (rate(sentinel_batch_size_count{{{STAGE}}}[5m]) > 0)",
                "{{stage}}",
            ),
        ),
    ]


def _time() -> list[Any]:
    return [
        lines(
            "From arrival, p50 and p99",
            "Seconds from the raw topic to the end of the stage.",
            *(
                (
                    f"histogram_quantile({share}, sum by (le, stage) "
                    f"(rate(sentinel_arrival_latency_seconds_bucket{{{STAGE}}}[5m])))",
                    f"{{{{stage}}}} p{100 * share:.0f}",
                )
                for share in (0.5, 0.99)
            ),
            unit="s",
        ),
        heat(
            "Seconds a batch",
            "How long stages take for a batch.",
            f"sum by (le) (increase(sentinel_batch_seconds_bucket{{{STAGE}}}[$__rate_interval]))",
        ),
        lines(
            "Checkpoints, mean",
            "Seconds that saving the state takes.",
            (
                f"sum by (stage) (rate(sentinel_checkpoint_seconds_sum{{{STAGE}}}[5m])) / "
                f"sum by (stage) (rate(sentinel_checkpoint_seconds_count{{{STAGE}}}[5m]) > 0)",
                "{{stage}}",
            ),
            unit="s",
        ),
    ]


def _trouble() -> list[Any]:
    return [
        lines(
            "Dead letters by reason",
            "Records a stage could not handle, an hour.",
            (
                "sum by (stage, reason) (increase(sentinel_dead_lettered_total[1h]))",
                "{{stage}} {{reason}}",
            ),
        ),
        lines(
            "Duplicates",
            "Events that had come before, a second.",
            ("sum by (source) (rate(sentinel_duplicate_total[5m]))", "{{source}}"),
            unit="ops",
        ),
        lines(
            "Ledger",
            "Events in minus all that became of them, by stage.",
            ("max by (stage) (sentinel_ledger_balance)", "{{stage}}"),
        ),
    ]
