"""What an analyst opens first: alerts and what became of them."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from infra.grafana.boards.panels import board, sql_bars, sql_lines, sql_number, sql_table

#: What the pipeline itself keeps quiet is no alert that anybody was shown.
SHOWN = "$__timeFilter(first_seen) AND status NOT IN ('suppressed', 'staged')"
#: Mean seconds from the storing of an alert to one of its times.
UNTIL = (
    "SELECT avg(extract(epoch FROM {time} - created_at)) AS seconds FROM alerts "
    f"WHERE {SHOWN} AND {{time}} IS NOT NULL"
)


def dashboard() -> Dashboard:
    """Return the dashboard."""
    made = board("overview", "Overview", "Alerts: how many, how bad, on whom, and how fast.")
    for panel in _figures():
        made = made.with_panel(panel)
    made = made.with_row(Row("Alerts"))
    for panel in _alerts():
        made = made.with_panel(panel)
    made = made.with_row(Row("On whom, and how"))
    for panel in _where():
        made = made.with_panel(panel)
    return made


def _figures() -> list[Any]:
    return [
        sql_number(
            "Alerts", "Shown in this time.", f"SELECT count(*) AS alerts FROM alerts WHERE {SHOWN}"
        ),
        sql_number(
            "High and critical",
            "Of severity high or critical.",
            f"SELECT count(*) AS alerts FROM alerts WHERE {SHOWN} AND severity_id >= 4",
        ),
        sql_number(
            "Open incidents",
            "Groups of alerts nobody has closed.",
            "SELECT count(*) AS incidents FROM incidents WHERE $__timeFilter(first_seen) "
            "AND status NOT IN ('resolved', 'false_positive') AND merged_into IS NULL",
        ),
        sql_number(
            "Mean time to triage",
            "From the storing of an alert until somebody first looked at it.",
            UNTIL.format(time="triaged_at"),
            "s",
        ),
        sql_number(
            "Mean time to resolve",
            "From the storing of an alert until it was closed.",
            UNTIL.format(time="resolved_at"),
            "s",
        ),
        sql_number(
            "False positives",
            "Share of false positives among what was closed.",
            "SELECT avg((status = 'false_positive')::int) AS share FROM alerts "
            f"WHERE {SHOWN} AND status IN ('resolved', 'false_positive')",
            "percentunit",
        ),
    ]


def _alerts() -> list[Any]:
    return [
        sql_lines(
            "Alerts by severity",
            "By the time of their first event.",
            "SELECT $__timeGroupAlias(first_seen, '$__interval'), severity AS metric, "
            f"count(*) AS value FROM alerts WHERE {SHOWN} GROUP BY 1, 2 ORDER BY 1",
        ),
        sql_bars(
            "Alerts by rule",
            "The twenty that fire most.",
            f"SELECT title, count(*) AS alerts FROM alerts WHERE {SHOWN} "
            "GROUP BY title ORDER BY alerts DESC, title LIMIT 20",
        ),
        sql_table(
            "Weekday and hour",
            "Alerts by the hour (UTC) and weekday of their first event.",
            "SELECT extract(hour FROM first_seen AT TIME ZONE 'UTC')::int AS hour, "
            + ", ".join(
                f"count(*) FILTER (WHERE extract(isodow FROM first_seen AT TIME ZONE 'UTC') = {n})"
                f' AS "{day}"'
                for n, day in enumerate(("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"), 1)
            )
            + f" FROM alerts WHERE {SHOWN} GROUP BY 1 ORDER BY 1",
        ),
        sql_table(
            "Newest",
            "The latest alerts, worst first among those of a minute.",
            "SELECT first_seen, severity, title, entity, source, count, score, status, id "
            f"FROM alerts WHERE {SHOWN} "
            "ORDER BY date_trunc('minute', first_seen) DESC, severity_id DESC LIMIT 50",
        ),
    ]


def _where() -> list[Any]:
    return [
        sql_bars(
            "MITRE ATT&CK",
            "Alerts by technique.",
            "SELECT technique, count(*) AS alerts FROM alerts, unnest(techniques) AS technique "
            f"WHERE {SHOWN} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 30",
        ),
        sql_bars(
            "Entities",
            "Whom the most alerts are on.",
            "SELECT entity, count(*) AS alerts, max(score) AS score FROM alerts "
            f"WHERE {SHOWN} AND entity <> '' GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20",
        ),
        sql_bars(
            "Sources",
            "Alerts by source and kind of detection.",
            f"SELECT source || ' ' || kind AS origin, count(*) AS alerts FROM alerts WHERE {SHOWN} "
            "GROUP BY 1 ORDER BY 2 DESC, 1",
        ),
        sql_table(
            "Incidents",
            "Groups of alerts that share who, from where or on what.",
            "SELECT last_seen, severity, title, alerts, status FROM incidents "
            "WHERE $__timeFilter(first_seen) AND merged_into IS NULL "
            "ORDER BY severity_id DESC, last_seen DESC LIMIT 20",
        ),
    ]
