"""What the dashboards are made of: panels over Prometheus or PostgreSQL, and their variables."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import (
    barchart,
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableRefresh
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

PROMETHEUS = DataSourceRef(type_val="prometheus", uid="sentinel-prometheus")
POSTGRES = DataSourceRef(type_val="grafana-postgresql-datasource", uid="sentinel-postgres")
HEIGHT = 8


class SqlQuery(Dataquery):
    """A query of Grafana's PostgreSQL data source, which the SDK has no model of."""

    def __init__(self, sql: str, form: str, ref: str) -> None:
        self.sql, self.form, self.ref = " ".join(sql.split()), form, ref

    def to_json(self) -> dict[str, object]:
        """Return it as Grafana stores it."""
        return {
            "refId": self.ref,
            "datasource": POSTGRES,
            "editorMode": "code",
            "rawQuery": True,
            "rawSql": self.sql,
            "format": self.form,
        }


class Sql(Builder[Dataquery]):
    """Builds a `SqlQuery`: `form` is ``table`` or ``time_series``."""

    def __init__(self, sql: str, form: str = "table", ref: str = "A") -> None:
        self._query = SqlQuery(sql, form, ref)

    def build(self) -> Dataquery:
        """Return the query."""
        return self._query


def board(uid: str, title: str, description: str, since: str = "now-24h") -> dashboard.Dashboard:
    """Return an empty dashboard."""
    return (
        dashboard.Dashboard(f"Sentinel / {title}")
        .uid(f"sentinel-{uid}")
        .description(description)
        .tags(["sentinel"])
        .time(since, "now")
        .timezone("utc")
        .refresh("30s")
        .readonly()
    )


def pick(name: str, label: str, query: str) -> dashboard.QueryVariable:
    """Return a variable whose values Prometheus knows: ``label_values(…)``; all at first."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(PROMETHEUS)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(".*")
    )


def lines(
    title: str,
    about: str,
    *queries: tuple[str, str],
    unit: str = "short",
    span: int = 12,
) -> timeseries.Panel:
    """Return a graph of PromQL `queries`, each with the legend of its series."""
    panel = timeseries.Panel().title(title).description(about).datasource(PROMETHEUS)
    panel = panel.unit(unit).height(HEIGHT).span(span).fill_opacity(10).line_width(1)
    panel = panel.legend(_legend())
    for ref, (query, legend) in zip("ABCDEFGH", queries, strict=False):
        panel = panel.with_target(_promql(query, legend, ref))
    return panel


def number(title: str, about: str, query: str, unit: str = "short", span: int = 4) -> stat.Panel:
    """Return one figure from PromQL."""
    panel = stat.Panel().title(title).description(about).datasource(PROMETHEUS)
    return panel.unit(unit).height(4).span(span).with_target(_promql(query, "", "A", instant=True))


def heat(title: str, about: str, query: str, span: int = 12) -> heatmap.Panel:
    """Return a heat map over time of a Prometheus histogram."""
    target = _promql(query, "{{le}}", "A").format(PromQueryFormat.HEATMAP)
    panel = heatmap.Panel().title(title).description(about).datasource(PROMETHEUS)
    return panel.height(HEIGHT).span(span).with_target(target)


def sql_lines(title: str, about: str, sql: str, unit: str = "short", span: int = 12) -> Any:
    """Return a graph of SQL that gives ``time``, ``metric`` and ``value``."""
    panel = timeseries.Panel().title(title).description(about).datasource(POSTGRES)
    panel = panel.unit(unit).height(HEIGHT).span(span).fill_opacity(30).legend(_legend())
    return panel.with_target(Sql(sql, "time_series"))


def sql_number(title: str, about: str, sql: str, unit: str = "short", span: int = 4) -> stat.Panel:
    """Return one figure from SQL."""
    panel = stat.Panel().title(title).description(about).datasource(POSTGRES).unit(unit)
    return panel.height(4).span(span).with_target(Sql(sql))


def sql_table(title: str, about: str, sql: str, span: int = 12) -> table.Panel:
    """Return a table from SQL."""
    panel = table.Panel().title(title).description(about).datasource(POSTGRES)
    return panel.height(HEIGHT).span(span).with_target(Sql(sql))


def sql_bars(title: str, about: str, sql: str, span: int = 12) -> barchart.Panel:
    """Return bars from SQL whose first column names them."""
    panel = barchart.Panel().title(title).description(about).datasource(POSTGRES)
    return panel.height(HEIGHT).span(span).with_target(Sql(sql))


def _promql(query: str, legend: str, ref: str, *, instant: bool = False) -> prometheus.Dataquery:
    made = prometheus.Dataquery().expr(query).ref_id(ref).legend_format(legend or "__auto")
    return made.instant() if instant else made.range()


def _legend() -> common.VizLegendOptions:
    made = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST)
    return made.placement(LegendPlacement.BOTTOM).show_legend(True)
