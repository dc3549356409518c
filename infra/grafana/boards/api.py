"""The API by rate, errors and duration."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from infra.grafana.boards.panels import board, heat, lines, number, pick

ROUTE = 'route=~"$route"'


def dashboard() -> Dashboard:
    """Return the dashboard."""
    made = board("api", "API", "Requests, errors and durations.", "now-1h")
    made = made.with_variable(
        pick("route", "Route", "label_values(sentinel_api_requests_total, route)")
    )
    for title, about, query, unit in (
        ("Requests a second", "All routes.", "sum(route:sentinel_api_requests:rate5m)", "reqps"),
        (
            "Errors",
            "Share of answers with status 5xx.",
            "api:sentinel_errors:ratio5m",
            "percentunit",
        ),
        ("p95", "95 of 100 answers are faster.", "api:sentinel_seconds:p95_5m", "s"),
    ):
        made = made.with_panel(number(title, about, query, unit, span=8))
    made = made.with_row(Row("By route"))
    made = made.with_panel(
        lines(
            "Requests",
            "A second, by route.",
            (f"sum by (route) (route:sentinel_api_requests:rate5m{{{ROUTE}}})", "{{route}}"),
            unit="reqps",
        )
    ).with_panel(
        lines(
            "Answers by status",
            "A second, by status.",
            (f"sum by (status) (rate(sentinel_api_requests_total{{{ROUTE}}}[5m]))", "{{status}}"),
            unit="reqps",
        )
    )
    return made.with_panel(
        lines(
            "p50, p95 and p99",
            "Seconds until the head of the answer.",
            *(
                (
                    f"histogram_quantile({share}, sum by (le) "
                    f"(rate(sentinel_api_request_seconds_bucket{{{ROUTE}}}[5m])))",
                    f"p{100 * share:.0f}",
                )
                for share in (0.5, 0.95, 0.99)
            ),
            unit="s",
        )
    ).with_panel(
        heat(
            "Durations",
            "Requests by seconds until the head of the answer.",
            "sum by (le) (increase("
            f"sentinel_api_request_seconds_bucket{{{ROUTE}}}[$__rate_interval]))",
        )
    )
