"""Another version of a batch model scores live: the line of the audit log."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from api.identity.audit import audit
from detectors.batch_models.store import Change, Tell
from detectors.suppress.draft import MAX_TEXT
from sentinel.cli._changes import person
from sentinel.errors import SettingsError


def told(tenant: str, source: str, reason: str) -> Tell:
    """Return what adds a change of what scores live to the audit log of its tenant.

    The line is there before the change: where it cannot be written, nothing changes.

    Raises
    ------
    SettingsError
        The reason is empty or too long.
    """
    why = reason.strip()
    if not 0 < len(why) <= MAX_TEXT:
        raise SettingsError(
            f"expected a reason of 1 to {MAX_TEXT} characters, for the audit log; found {len(why)}"
        )

    def tell(change: Change) -> None:
        detail = {"source": source, "reason": why, **change._asdict()}
        action, kind = detail.pop("action"), detail.pop("kind")

        def work(connection: Any) -> Awaitable[None]:
            return audit(
                connection, f"model.{action}", f"model.batch.{kind}", detail, tenant=tenant
            )

        person.transaction(work)

    return tell
