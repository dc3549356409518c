"""What each source sends, and whether one has fallen silent."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from infra.grafana.boards.panels import board, lines, pick, sql_lines, sql_table

SOURCE = 'source=~"$source"'


def dashboard() -> Dashboard:
    """Return the dashboard."""
    made = board("sources", "Sources", "What each source sends; silence, refusals, drift.")
    made = made.with_variable(
        pick("source", "Source", "label_values(sentinel_received_total, source)")
    )
    made = made.with_panel(
        lines(
            "Events",
            "Taken in by normalize, a second.",
            (
                f"sum by (source) (stage:sentinel_received:rate5m{{stage='normalize',{SOURCE}}})",
                "{{source}}",
            ),
            unit="ops",
        )
    )
    made = made.with_panel(
        lines(
            "Refused",
            "Share of a source's records that became dead letters.",
            (f"source:sentinel_dead_lettered:ratio1h{{{SOURCE}}}", "{{source}}"),
            unit="percentunit",
        )
    )
    made = made.with_panel(
        lines(
            "Age on arrival",
            "Mean seconds from an event's own time to the end of normalize.",
            (
                "sum by (source) (rate(sentinel_event_latency_seconds_sum"
                f"{{stage='normalize',{SOURCE}}}[5m])) / sum by (source) "
                "(rate(sentinel_event_latency_seconds_count"
                f"{{stage='normalize',{SOURCE}}}[5m]) > 0)",
                "{{source}}",
            ),
            unit="s",
        )
    )
    made = made.with_panel(
        sql_lines(
            "Stored",
            "Events in PostgreSQL, by their own time.",
            "SELECT $__timeGroupAlias(time, '$__interval'), source AS metric, count(*) AS value "
            "FROM events WHERE $__timeFilter(time) GROUP BY 1, 2 ORDER BY 1",
        )
    )
    made = made.with_row(Row("Health"))
    return made.with_panel(
        sql_table(
            "Last heard of",
            "The newest event of each source.",
            "SELECT source, max(arrived) AS arrived, max(time) AS newest, count(*) AS events "
            "FROM events WHERE $__timeFilter(time) GROUP BY source ORDER BY arrived",
        )
    ).with_panel(
        sql_table(
            "Silence, drift and gaps",
            "Sentinel's own alerts on sources.",
            "SELECT first_seen, severity, title, entity, count FROM alerts "
            "WHERE $__timeFilter(first_seen) AND source = 'health' "
            "ORDER BY first_seen DESC LIMIT 50",
        )
    )
