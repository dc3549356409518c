"""A PDF for people: cover, counts, charts, and the worst alerts with why they fired."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

#: Alerts that are told in full; a report is read, not searched.
WORST = 25
#: Bars of a chart, and characters of a text; fonts are those that every reader has.
BARS, LONGEST = 12, 1500
COLOURS = {
    "critical": (153, 27, 27),
    "high": (220, 38, 38),
    "medium": (217, 119, 6),
    "low": (37, 99, 235),
    "informational": (107, 114, 128),
}
BLUE, GREY, INK = (30, 64, 175), (229, 231, 235), (17, 24, 39)
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class Content(NamedTuple):
    """What a report is of.

    Attributes
    ----------
    title, tenant, query
        For the cover.
    total
        How many alerts the search finds.
    charts
        Each a heading and its bars: name and count, most first.
    heat
        Weekday (1 is Monday), hour and count.
    worst
        Alerts as lists send them, worst first, with the explanation as an object.
    """

    title: str
    tenant: str
    query: str
    total: int
    charts: Mapping[str, Sequence[tuple[str, int]]]
    heat: Sequence[tuple[int, int, int]]
    worst: Sequence[Mapping[str, Any]]


def pdf(content: Content) -> bytes:
    """Return the report; takes some 100 ms of CPU time, and memory for `WORST` alerts."""
    from fpdf import FPDF

    made: Any = FPDF(format="A4")
    made.set_auto_page_break(True, margin=18)
    made.set_title(_shown(content.title))
    made.set_creator("Sentinel")
    page = _Page(made)
    page.cover(content)
    made.add_page()
    for name, bars in content.charts.items():
        page.chart(name, bars)
    page.heat(content.heat)
    made.add_page()
    page.heading(f"The worst {len(content.worst)} of {content.total} alerts")
    for alert in content.worst:
        page.alert(alert)
    return bytes(made.output())


class _Page:
    """Draws the parts of a report."""

    def __init__(self, pdf: Any) -> None:
        self._pdf = pdf

    def cover(self, content: Content) -> None:
        """Draw the first page."""
        pdf = self._pdf
        pdf.add_page()
        pdf.set_fill_color(*BLUE)
        pdf.rect(0, 0, 210, 60, "F")
        pdf.set_text_color(255, 255, 255)
        pdf.set_font("Helvetica", "B", 26)
        pdf.set_xy(18, 22)
        pdf.cell(0, 12, _shown(content.title))
        pdf.set_text_color(*INK)
        pdf.set_xy(18, 75)
        pdf.set_font("Helvetica", "", 12)
        lines = {
            "Made": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            "Tenant": content.tenant,
            "Search": content.query or "all alerts",
            "Alerts": str(content.total),
        }
        for name, value in lines.items():
            pdf.set_x(18)
            pdf.set_font("Helvetica", "B", 12)
            pdf.cell(30, 8, name)
            pdf.set_font("Helvetica", "", 12)
            pdf.multi_cell(140, 8, _shown(value), new_x="LMARGIN", new_y="NEXT")

    def heading(self, text: str) -> None:
        """Draw a heading."""
        self._pdf.set_font("Helvetica", "B", 14)
        self._pdf.set_text_color(*BLUE)
        self._pdf.cell(0, 10, _shown(text), new_x="LMARGIN", new_y="NEXT")
        self._pdf.set_text_color(*INK)

    def chart(self, name: str, bars: Sequence[tuple[str, int]]) -> None:
        """Draw horizontal bars with their names and counts."""
        pdf = self._pdf
        shown = bars[:BARS]
        if pdf.will_page_break(14 + 6 * len(shown)):
            pdf.add_page()
        self.heading(name)
        pdf.set_font("Helvetica", "", 9)
        most = max((count for _, count in shown), default=1) or 1
        for label, count in shown:
            top = pdf.get_y()
            pdf.cell(62, 6, _cut(_shown(label or "(none)"), 36))
            pdf.set_fill_color(*COLOURS.get(label, BLUE))
            pdf.rect(pdf.l_margin + 64, top + 1, max(0.5, 95 * count / most), 4, "F")
            pdf.set_xy(pdf.l_margin + 64 + 95 * count / most + 2, top)
            pdf.cell(0, 6, str(count), new_x="LMARGIN", new_y="NEXT")
        pdf.ln(4)

    def heat(self, cells: Sequence[tuple[int, int, int]]) -> None:
        """Draw weekday by hour, the darker the more."""
        pdf = self._pdf
        if pdf.will_page_break(70):
            pdf.add_page()
        self.heading("By weekday and hour (UTC)")
        counts = {(weekday, hour): count for weekday, hour, count in cells}
        most = max(counts.values(), default=1)
        pdf.set_font("Helvetica", "", 7)
        left, top = pdf.l_margin + 12, pdf.get_y()
        for weekday, label in enumerate(WEEKDAYS, 1):
            pdf.set_xy(pdf.l_margin, top + 6 * (weekday - 1))
            pdf.cell(12, 6, label)
            for hour in range(24):
                part = counts.get((weekday, hour), 0) / most
                shade = [
                    round(each + (dark - each) * part)
                    for each, dark in zip(GREY, BLUE, strict=True)
                ]
                pdf.set_fill_color(*shade)
                pdf.rect(left + 7 * hour, top + 6 * (weekday - 1), 6.6, 5.6, "F")
        for hour in range(0, 24, 3):
            pdf.set_xy(left + 7 * hour, top + 43)
            pdf.cell(7, 4, f"{hour:02}")
        pdf.set_xy(pdf.l_margin, top + 50)

    def alert(self, alert: Mapping[str, Any]) -> None:
        """Tell of one alert: what, who, when, and why it fired."""
        pdf = self._pdf
        if pdf.will_page_break(30):
            pdf.add_page()
        pdf.set_font("Helvetica", "B", 10)
        pdf.set_text_color(*COLOURS[alert["severity"]])
        pdf.multi_cell(0, 6, _shown(alert["title"]), new_x="LMARGIN", new_y="NEXT")
        pdf.set_text_color(*INK)
        pdf.set_font("Helvetica", "", 8)
        facts = (
            f"{alert['severity']}, score {alert['score']:.2f}, {alert['status']}, "
            f"{alert['time'][:19].replace('T', ' ')} UTC, {alert['count']} event(s), "
            f"{alert['source']}, {' '.join(alert['techniques'])}"
        )
        pdf.multi_cell(0, 4.5, _shown(facts), new_x="LMARGIN", new_y="NEXT")
        pdf.multi_cell(0, 4.5, _shown(f"Who: {alert['entity']}"), new_x="LMARGIN", new_y="NEXT")
        for name, text in _reasons(alert["explanation"]):
            line = _cut(_shown(f"{name}: {text}"), LONGEST)
            pdf.multi_cell(0, 4.5, line, new_x="LMARGIN", new_y="NEXT")
        pdf.ln(3)


def _reasons(explanation: Any) -> list[tuple[str, str]]:
    """Return the parts of an explanation that are for people."""
    if not isinstance(explanation, Mapping):
        return []
    named = [("Why", explanation.get("what")), ("Quiet if", explanation.get("quiet"))]
    found = [(name, value) for name, value in named if isinstance(value, str) and value]
    return found or [("Why", orjson.dumps(explanation).decode())]


def _shown(text: str) -> str:
    """Return text as the fonts of every reader can show it; other characters by their number."""
    return text.encode("latin-1", "backslashreplace").decode("latin-1").replace("\x00", " ")


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
