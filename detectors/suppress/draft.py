"""From what someone asks for to a row that can be kept, or the reason why not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from detectors.suppress.policy import Kind, Suppression, Weekly
from detectors.suppress.scope import Scope, check
from sentinel.errors import SettingsError

DAY_MS: Final = 86_400_000
#: Longest life of a suppression or window, in days: what is quiet for ever is forgotten.
MAX_DAYS: Final = 366
MAX_TEXT: Final = 2000
#: What a tuning can set.
TUNING: Final = ("disabled", "staged", "severity", "threshold")
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEKLY = re.compile(
    r"(?P<days>[a-z,]+) (?P<start>[0-2]\d:[0-5]\d)-(?P<to>[0-2]\d:[0-5]\d)(?: (?P<zone>\S+))?", re.I
)


def weekly(text: str) -> Weekly:
    """Read hours of the week, with a time zone or in UTC.

    >>> weekly("sat,sun 22:00-02:00 Europe/Vienna")
    Weekly(days=(5, 6), start='22:00', to='02:00', zone='Europe/Vienna')

    Raises
    ------
    SettingsError
        They are none.
    """
    found = _WEEKLY.fullmatch(text.strip())
    days = found["days"].lower().split(",") if found else []
    if found is None or not {*days} <= {*DAYS} or max(found["start"], found["to"]) >= "24:00":
        raise SettingsError(
            f"expected hours of the week such as 'sun 02:00-04:00' or 'sat,sun 22:00-02:00 "
            f"Europe/Vienna' (days: {', '.join(DAYS)}), found {text!r}"
        )
    zone = found["zone"] or "UTC"
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SettingsError(
            f"expected an IANA time zone such as Europe/Vienna, found {zone!r}"
        ) from error
    return Weekly(
        tuple(sorted({DAYS.index(day) for day in days})), found["start"], found["to"], zone
    )


def draft(
    kind: Kind,
    scope: Scope,
    *,
    tenant: str,
    owner: str,
    reason: str,
    expires: int,
    now: int,
    starts: int | None = None,
    hours: str = "",
    per_hour: int | None = None,
    per_day: int | None = None,
    tuning: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a row for `sentinel.suppressions.add`.

    Parameters
    ----------
    kind
        ``suppression`` is from arrival to arrival, ``maintenance`` from event time to event time,
        ``budget`` lets so many alerts through an hour or day, ``tuning`` changes a rule or model.
    owner, reason
        Who answers for it, and why it is right.
    starts, expires, now
        ms since the epoch; without a start it begins at once.
    hours
        Of a maintenance window: when it recurs, see `weekly`.
    per_hour, per_day
        Of a budget.
    tuning
        Of a tuning: ``disabled``, ``staged``, ``severity`` and ``threshold``, see
        `detectors.suppress.tuning`; None and what is missing stay as they are.

    Raises
    ------
    SettingsError
        It makes no sense; the message says what would.
    """
    _check_texts(owner=owner, reason=reason, tenant=tenant)
    if expires <= (now if starts is None else starts):
        raise SettingsError("expected an end after the start, found one before; give a later one")
    quiet = kind in {"suppression", "maintenance"}
    if quiet and expires - max(now, starts or now) > MAX_DAYS * DAY_MS:
        raise SettingsError(f"expected an end within {MAX_DAYS} days, found a later one")
    budgets = {"per_hour": per_hour, "per_day": per_day}
    _check_kind(kind, scope, hours, budgets)
    return {
        **budgets,
        **_tuning(kind, scope, tuning or {}),
        "tenant": tenant,
        "kind": kind,
        "scope": msgspec.to_builtins(check(scope)),
        "owner": owner.strip(),
        "reason": reason.strip(),
        "starts": starts,
        "expires": expires,
        "weekly": msgspec.to_builtins(weekly(hours)) if hours else None,
    }


def _check_kind(kind: Kind, scope: Scope, hours: str, budgets: Mapping[str, int | None]) -> None:
    """Refuse what is of another kind, or missing of this one."""
    if (kind == "budget") != any(budgets.values()):
        raise SettingsError("expected alerts per hour or per day (1 or more) of a budget, and only")
    if kind == "suppression" and scope == Scope():
        raise SettingsError(
            "expected a suppression to name a rule, source, entity, technique or kind, found none"
        )
    if hours and kind != "maintenance":
        raise SettingsError(f"expected hours of the week of a maintenance window, not of a {kind}")


def _tuning(kind: Kind, scope: Scope, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a tuning sets."""
    found = {name: given.get(name) for name in TUNING}
    if (kind == "tuning") != any(value is not None for value in found.values()):
        raise SettingsError(f"expected of a tuning, and only, at least one of {', '.join(TUNING)}")
    if kind != "tuning":
        return found
    if not scope.rules or scope.entities or scope.techniques or scope.kinds:
        raise SettingsError("expected a tuning to name rules or models, and sources at most")
    severity, threshold = found["severity"], found["threshold"]
    if severity is not None and not 1 <= severity <= 5:
        raise SettingsError(f"expected a severity of 1 to 5, found {severity}")
    if threshold is not None and not 0 < threshold <= 1:
        raise SettingsError(f"expected a threshold above 0 and up to 1, found {threshold}")
    if threshold is not None and not all(rule.startswith("model.") for rule in scope.rules):
        raise SettingsError(
            f"expected a threshold for models ('model.…'), found {', '.join(scope.rules)}; "
            "rules have none"
        )
    return found


def _check_texts(**texts: str) -> None:
    for name, text in texts.items():
        if not 0 < len(text.strip()) <= MAX_TEXT:
            raise SettingsError(
                f"expected {name} in 1 to {MAX_TEXT} characters, found {text!r:.80}"
            )


def read(row: Mapping[str, Any]) -> Suppression:
    """Return a row as `detectors.suppress.policy` takes it.

    Raises
    ------
    SettingsError
        Another release wrote it, or someone by hand.
    """
    try:
        return msgspec.convert(dict(row), Suppression)
    except msgspec.ValidationError as error:
        raise SettingsError(f"suppression {row.get('id')}: {error}") from error
