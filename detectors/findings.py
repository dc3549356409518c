"""What becomes of a finding from scan to scan: new, recurring, resolved, reopened.

Scans of one tool over one target are compared with one another, by the time of the scan and
not of its arrival:

- seen for the first time: new; seen again in a later scan: recurring;
- not in a later scan that is there in full: resolved; or seen there as passed;
- seen in a scan after that: reopened, then recurring.

A scan that arrives late, after a newer one was judged, changes only when a finding was first
seen. A scan of which a part is missing resolves nothing, nor does one whose report does not
say what was scanned. The same part of a scan twice is once. Pure: what is known goes in,
what is known then comes out; `streams.sinks.findings` keeps it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from schemas.ocsf import head, status_name

NEW: Final = "new"
RECURRING: Final = "recurring"
RESOLVED: Final = "resolved"
REOPENED: Final = "reopened"
STATES: Final = (NEW, RECURRING, RESOLVED, REOPENED)
#: OCSF ``activity_id`` of a finding in each state: Create, Update, Close; a finding that comes
#: back was closed, so it is created anew.
ACTIVITY: Final = {NEW: 1, RECURRING: 2, RESOLVED: 3, REOPENED: 1}


#: OCSF ``status_id`` of a finding that is gone.
STATUS_RESOLVED: Final = 4


class Known(NamedTuple):
    """What is known of a finding; times are milliseconds since the epoch, UTC.

    Attributes
    ----------
    state
        One of `STATES`.
    scan
        The scan that said so last.
    first_seen, last_seen
        Times of the first and the last scan that it was seen in.
    judged
        Time of the scan that gave it its state: `last_seen`, or when it was found missing.
    """

    state: str
    scan: str
    first_seen: int
    last_seen: int
    judged: int


class Sighting(NamedTuple):
    """A finding in one scan; `passed` where the scan says that it is no problem (any more)."""

    uid: str
    scan: str
    time: int
    passed: bool = False


def seen(known: Known | None, sighting: Sighting) -> Known | None:
    """Return what is known after a sighting; None where there is nothing to know.

    A check that passed and never failed is no finding.
    """
    scan, time = sighting.scan, sighting.time
    if known is None:
        return None if sighting.passed else Known(NEW, scan, time, time, time)
    first = known.first_seen if sighting.passed else min(known.first_seen, time)
    if scan == known.scan or time < known.judged:
        if scan == known.scan and not sighting.passed and known.state == RESOLVED:
            # One scan sees it twice, passed in one place and failed in another: it is open.
            return Known(REOPENED, scan, first, max(known.last_seen, time), known.judged)
        return known._replace(first_seen=first)
    if sighting.passed:
        return known._replace(state=RESOLVED, scan=scan, judged=time)
    state = REOPENED if known.state == RESOLVED else RECURRING
    return Known(state, scan, first, max(known.last_seen, time), time)


def missing(known: Known, scan: str, time: int) -> Known:
    """Return what is known after a whole scan at `time` did not have the finding."""
    if known.state == RESOLVED or scan == known.scan or time < known.judged:
        return known
    return known._replace(state=RESOLVED, scan=scan, judged=time)


def compare(
    known: Mapping[str, Known], sightings: Iterable[Sighting], whole: tuple[str, int] | None
) -> dict[str, Known]:
    """Return what is known of all findings of a tool and target after a scan, or a part of it.

    Parameters
    ----------
    known
        By the id of the finding.
    sightings
        Of one scan, in any order.
    whole
        Id and time of the scan where this is all of it, else None.

    Examples
    --------
    >>> first = compare({}, [Sighting("a", "s1", 1), Sighting("b", "s1", 1)], ("s1", 1))
    >>> second = compare(first, [Sighting("a", "s2", 2)], ("s2", 2))
    >>> {uid: found.state for uid, found in second.items()}
    {'a': 'recurring', 'b': 'resolved'}
    >>> third = compare(second, [Sighting("b", "s3", 3)], ("s3", 3))
    >>> {uid: found.state for uid, found in third.items()}
    {'a': 'resolved', 'b': 'reopened'}
    """
    found = dict(known)
    for sighting in sightings:
        after = seen(found.get(sighting.uid), sighting)
        if after is not None:
            found[sighting.uid] = after
    if whole is not None:
        return {uid: missing(each, *whole) for uid, each in found.items()}
    return found


def in_ocsf(event: Mapping[str, Any], known: Known) -> dict[str, Any]:
    """Return the OCSF event of a finding as it stands now: its activity, status and times."""
    made = dict(event) | head(
        event["class_uid"],
        ACTIVITY[known.state],
        time=known.judged,
        severity_id=event.get("severity_id", 0),
    )
    if known.state == RESOLVED:
        status = status_name(event["class_uid"], STATUS_RESOLVED)
        made |= {"status_id": STATUS_RESOLVED, "status": status}
    times = {"first_seen_time": known.first_seen, "last_seen_time": known.last_seen}
    made["finding_info"] = dict(event.get("finding_info", {})) | times
    return made
