"""The explanation of an alert as text: one shape for rules, models, correlations, risk, budgets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

#: Lines of one list that a screen shows.
MOST = 12
_QUIET = {
    "suppressed": "It is suppressed{by}: nobody was notified. A repeat after that ends opens it.",
    "staged": "Its rule is on trial: nobody was notified. `sentinel rules promote` ends the trial.",
}


def lines(alert: Mapping[str, Any]) -> Iterator[str]:
    """Yield what there is to say about why an alert fired, and why it is quiet where it is.

    Parameters
    ----------
    alert
        As the API returns it: ``explanation``, ``status`` and ``suppression``. What an
        explanation does not have, or has in another form, is left out or shown as it is.
    """
    status = str(alert.get("status", ""))
    if status in _QUIET:
        by = alert.get("suppression")
        yield _QUIET[status].format(by=f" by {by}" if by else "")
        yield ""
    said = alert.get("explanation")
    if not isinstance(said, Mapping):
        yield str(said)
        return
    yield str(said.get("what") or "No reason is recorded.")
    if said.get("description"):
        yield str(said["description"])
    if said.get("condition"):
        yield from ("", f"Condition   {said['condition']}")
    yield from _list("Matched", said.get("matched"), _matched)
    yield from _list("Contributed", said.get("contributions"), _contributed)
    if said.get("baseline"):
        yield from ("", "Compared with")
        yield from (f"  {part}" for part in _baseline(said["baseline"]))
    if said.get("techniques"):
        yield from ("", f"Techniques  {_value(said['techniques'])}")
    if said.get("cold_start"):
        yield from ("", "The history it was compared with is still short.")
    if said.get("quiet"):
        yield from ("", f"Quiet if    {said['quiet']}")
    yield from _list("Also caused by", said.get("false_positives"), str)
    yield from _list("Read more", said.get("references"), str)


def _list(title: str, parts: Any, say: Any) -> Iterator[str]:
    if not isinstance(parts, list) or not parts:
        return
    yield from ("", title)
    for part in parts[:MOST]:
        yield f"  {say(part) if isinstance(part, Mapping) or say is str else part}"
    if len(parts) > MOST:
        yield f"  and {len(parts) - MOST} more"


def _matched(part: Mapping[str, Any]) -> str:
    """Say one matched part: where, which field, and what it met."""
    pattern = f"  ({part['modifiers']} {part.get('pattern')})" if part.get("modifiers") else ""
    selection = f"{part['selection']}: " if part.get("selection") else ""
    event = f"  event {part['event']}" if part.get("event") else ""
    field, value = part.get("field") or "the event", _value(part.get("value"))
    return f"{selection}{field} = {value}{pattern}{event}"


def _contributed(part: Mapping[str, Any]) -> str:
    """Say one contribution: its share, what, and for a risk when and by how much."""
    weight = part.get("weight")
    share = f"{weight:>6.1%}" if isinstance(weight, int | float) else " " * 6
    more = []
    if "points" in part:
        points = part["points"]
        more.append(f"{points:.2f} points" if isinstance(points, float) else f"{points} points")
    if isinstance(part.get("time"), int):
        more.append(_time(part["time"]))
    if part.get("tactics"):
        more.append(_value(part["tactics"]))
    about = f"  ({', '.join(more)})" if more else ""
    return f"{share}  {part.get('field')}: {_value(part.get('value'))}{about}"


def _baseline(baseline: Any) -> Iterator[str]:
    if not isinstance(baseline, Mapping):
        yield _value(baseline)
        return
    for name, value in baseline.items():
        is_time = name in {"since", "until"} and isinstance(value, int) and value > 0
        yield f"{name:<14}{_time(value) if is_time else _value(value)}"


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_value(each)}" for name, each in value.items())
    return str(value)


def _time(ms: int) -> str:
    """Return a time for people; one that no calendar has as it is."""
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return str(ms)
