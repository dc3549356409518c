"""Which version of a kind of batch model was live when: promotions, and steps back, in order.

A step counts for events that arrive from `Step.since` on, some seconds after it was taken, when
every worker has read it: so all of them, and a replay, score an event with the same version.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sentinel.errors import SettingsError


class Step(NamedTuple):
    """One change of what is live.

    Attributes
    ----------
    version
        That was promoted; None: back to the one before.
    since
        From which arrival on, in ms since the epoch.
    """

    version: int | None
    since: int


def stack(steps: Sequence[Step]) -> list[int]:
    """Return the versions that could be gone back to, the live one last."""
    found: list[int] = []
    for step in steps:
        if step.version is not None:
            found.append(step.version)
        elif found:
            found.pop()
    return found


def live(steps: Sequence[Step]) -> int | None:
    """Return the version that is live after all steps; None where none ever was."""
    versions = stack(steps)
    return versions[-1] if versions else None


def former(steps: Sequence[Step], kind: str) -> int:
    """Return the version that going back makes live; raise `SettingsError` where none was."""
    versions = stack(steps)
    if len(versions) < 2:
        raise SettingsError(f"expected an earlier live version of {kind}, found none")
    return versions[-2]


def spans(steps: Sequence[Step], since: int = 0) -> list[tuple[int, int]]:
    """Return from which arrival on which version is live, without those that ended before `since`.

    Parameters
    ----------
    since
        In ms since the epoch.
    """
    found = [
        (step.since, version)
        for place, step in enumerate(steps)
        if (version := live(steps[: place + 1])) is not None
    ]
    ends = [start for start, _ in found[1:]]
    return [span for span, end in zip(found, [*ends, since], strict=False) if end >= since]
