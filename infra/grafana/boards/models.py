"""How the detections do: scores, and what people said of their alerts."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from infra.grafana.boards.panels import board, lines, sql_bars, sql_lines, sql_table

MODELS = "$__timeFilter(first_seen) AND kind <> 'rule'"


def dashboard() -> Dashboard:
    """Return the dashboard."""
    made = board(
        "models", "Models", "Scores, drift, and precision by what people decided.", "now-7d"
    )
    made = made.with_panel(
        sql_bars(
            "Scores",
            "Alerts of models by score, in tenths.",
            "SELECT to_char(floor(score * 10) / 10, '0.0') AS score, count(*) AS alerts "
            f"FROM alerts WHERE {MODELS} GROUP BY 1 ORDER BY 1",
        )
    ).with_panel(
        sql_lines(
            "Alerts by model",
            "By the time of their first event.",
            "SELECT $__timeGroupAlias(first_seen, '$__interval'), rule_id AS metric, "
            f"count(*) AS value FROM alerts WHERE {MODELS} GROUP BY 1, 2 ORDER BY 1",
        )
    )
    made = made.with_row(Row("By what people decided"))
    made = made.with_panel(
        sql_table(
            "Precision",
            "Of the alerts that were closed: how many were right.",
            "SELECT rule_id, kind, count(*) AS closed, "
            "count(*) FILTER (WHERE status = 'resolved') AS right_ones, "
            "round(avg((status = 'resolved')::int), 3) AS precision FROM alerts "
            "WHERE $__timeFilter(first_seen) AND status IN ('resolved', 'false_positive') "
            "GROUP BY 1, 2 ORDER BY closed DESC, rule_id LIMIT 50",
        )
    ).with_panel(
        sql_table(
            "Recall within incidents",
            "Of the closed incidents that were right: in how many each detection took part.",
            "SELECT a.rule_id, count(DISTINCT i.id) AS incidents, "
            "round(count(DISTINCT i.id)::numeric "
            "/ nullif((SELECT count(*) FROM incidents WHERE status = 'resolved' "
            "AND $__timeFilter(first_seen)), 0), 3) AS recall "
            "FROM incidents i "
            "JOIN incident_alerts m ON m.tenant = i.tenant AND m.incident_id = i.id "
            "JOIN alerts a ON a.tenant = m.tenant AND a.id = m.alert_id "
            "WHERE i.status = 'resolved' AND $__timeFilter(i.first_seen) "
            "GROUP BY 1 ORDER BY incidents DESC, 1 LIMIT 50",
        )
    )
    made = made.with_row(Row("State"))
    return made.with_panel(
        lines(
            "State dropped at its bound",
            "Evictions of the stages that keep state, an hour.",
            (
                "sum by (stage, what) (increase(sentinel_evictions_total[1h])) or vector(0)",
                "{{stage}} {{what}}",
            ),
        )
    ).with_panel(
        lines(
            "Signals",
            "Hits of rules and models that detect passed on, a second.",
            ("sum by (source) (rate(sentinel_emitted_total{stage='detect'}[5m]))", "{{source}}"),
            unit="ops",
        )
    )
