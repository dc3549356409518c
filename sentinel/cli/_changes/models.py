"""Batch models as the command line keeps them: versions, what is live, lines of the audit log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from api.identity.audit import audit
from detectors.batch_models.history import Step, former, live
from detectors.batch_models.kinds import Trained
from detectors.batch_models.train import Version
from detectors.suppress.draft import MAX_TEXT
from sentinel import batch_models, postgres
from sentinel.cli._changes import person
from sentinel.errors import SettingsError

T = TypeVar("T")


class Models:
    """The versions of one tenant's source, in PostgreSQL, where every worker reads them.

    Every method is one transaction in the role `postgres.TRAINER`, and raises `StackError` where
    PostgreSQL cannot be reached or refuses: then nothing is changed.
    """

    def __init__(self, tenant: str, source: str) -> None:
        self._tenant, self._source = tenant, source

    def add(self, version: Version) -> int:
        """Keep a version; return its number; raise `SettingsError` where it is too large."""
        data = version.model.dump()
        return self._do(batch_models.add, version.about, data)

    def versions(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return what is known of every version, oldest first; ``live`` says which are used."""

        async def work(connection: Any) -> list[dict[str, Any]]:
            rows = await batch_models.versions(connection, self._tenant, self._source, kind)
            used = {
                each: live(await self._steps(connection, each))
                for each in {row["kind"] for row in rows}
            }
            return [row | {"live": used[row["kind"]] == row["version"]} for row in rows]

        return person.transaction(work, postgres.TRAINER)

    def live(self, kind: str) -> Trained | None:
        """Return the live model of a kind, if any."""

        async def work(connection: Any) -> int | None:
            return live(await self._steps(connection, kind))

        version = person.transaction(work, postgres.TRAINER)
        return None if version is None else self.load(kind, version)

    def load(self, kind: str, version: int) -> Trained | None:
        """Return a version; None where there is none; raise `SchemaError` where it is damaged."""
        found = self._do(batch_models.model, kind, version)
        return None if found is None else Trained.read(found[0])

    def promote(self, kind: str, version: int, reason: str) -> int | None:
        """Make a version live, with a line of the audit log; return the one that was.

        Raises
        ------
        SettingsError
            There is no such version, or the reason is none.
        """
        why = _checked(reason)

        async def work(connection: Any) -> int | None:
            await batch_models.lock(connection)
            rows = await batch_models.versions(connection, self._tenant, self._source, kind)
            known = [row["version"] for row in rows]
            if version not in known:
                numbers = ", ".join(map(str, known)) or "none"
                raise SettingsError(
                    f"expected a version of {kind} among {numbers}, found {version}"
                )
            before = live(await self._steps(connection, kind))
            if before != version:
                await self._step(connection, kind, version)
                await self._audit(connection, "promote", kind, (version, before), why)
            return before

        return person.transaction(work, postgres.TRAINER)

    def rollback(self, kind: str, reason: str) -> int:
        """Make the version live that was before, with a line of the audit log; return it.

        Raises
        ------
        SettingsError
            None was, or the reason is none.
        """
        why = _checked(reason)

        async def work(connection: Any) -> int:
            await batch_models.lock(connection)
            steps = await self._steps(connection, kind)
            version, before = former(steps, kind), live(steps)
            await self._step(connection, kind, None)
            await self._audit(connection, "rollback", kind, (version, before), why)
            return version

        return person.transaction(work, postgres.TRAINER)

    def _do(self, call: Callable[..., Awaitable[T]], *args: Any) -> T:
        def work(connection: Any) -> Awaitable[T]:
            return partial(call, connection, self._tenant, self._source)(*args)

        return person.transaction(work, postgres.TRAINER)

    async def _steps(self, connection: Any, kind: str) -> list[Step]:
        rows = await batch_models.steps(connection, self._tenant, self._source)
        return [Step(version, since) for _, _, which, version, since in rows if which == kind]

    async def _step(self, connection: Any, kind: str, version: int | None) -> None:
        await batch_models.step(connection, self._tenant, self._source, kind, version)

    async def _audit(
        self, connection: Any, action: str, kind: str, change: tuple[int, int | None], why: str
    ) -> None:
        """Say who made which model live, whatever its number, and which was before."""
        version, before = change
        found = await batch_models.model(connection, self._tenant, self._source, kind, version)
        detail = {
            "source": self._source,
            "version": version,
            "before": before,
            "reason": why,
            "sha256": found[1] if found else "",
        }
        target = f"model.batch.{kind}"
        await audit(connection, f"model.{action}", target, detail, tenant=self._tenant)


def _checked(reason: str) -> str:
    """Return a reason for the audit log; raise `SettingsError` where it is empty or too long."""
    why = reason.strip()
    if not 0 < len(why) <= MAX_TEXT:
        raise SettingsError(
            f"expected a reason of 1 to {MAX_TEXT} characters, for the audit log; found {len(why)}"
        )
    return why
