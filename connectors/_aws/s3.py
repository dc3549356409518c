"""Objects in S3, listed: back-fill of everything there is, then what comes.

Days are read oldest first over all accounts and regions, so that event time moves forward;
then every look lists the days that are still open (`connectors._aws.objects.progress`).
A look costs a LIST request for each folder of an account and region; where there are many,
or objects by the million a day, read by notification instead (`connectors._aws.sqs`).

Rights: ``s3:ListBucket`` on the bucket, ``s3:GetObject`` on its objects, and ``kms:Decrypt``
where they are encrypted with a key of one's own.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, partial
from typing import Any, Final

from pydantic import Field

from connectors._aws.account import AwsSettings, client, identity, refusals, tried
from connectors._aws.objects.cut import Cutter
from connectors._aws.objects.fetch import Batch, Fetch, Job
from connectors._aws.objects.layout import FOLDERS, Root, Wanted, days, roots
from connectors._aws.objects.progress import UNDATED, Clock, Found, Progress, Walk
from connectors._reading.base import Check, Listed, Page, Position, Reader

MANY: Final = 20_000
"""Objects sorted at a time when a day is swept."""


class S3Settings(AwsSettings):
    """Where objects are."""

    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", description="The bucket.")
    prefix: str = Field(
        "", max_length=900, description="What keys begin with; with AWSLogs/, its tree is known."
    )
    accounts: frozenset[str] = Field(
        frozenset(), description="Account ids to read, of those in the tree; none: all."
    )
    regions: frozenset[str] = Field(
        frozenset(), description="Regions to read, of those in the tree; none: all."
    )
    late_h: float = Field(
        6.0, ge=0.25, le=72, description="Hours for which objects may appear after their time."
    )


class S3Objects(Reader):
    """Reads every object below a prefix, each once, wherever it lies in AWS's trees."""

    Settings = S3Settings
    settings: S3Settings

    @cached_property
    def _s3(self) -> Any:
        return client(self.settings, "s3")

    def read(self, position: Position | None) -> Iterator[Page]:
        """Yield what was not read: days that are over in order of keys, then the open ones.

        Raises
        ------
        DeniedError, SourceError
            See `connectors._aws.account.refusals`.
        """
        found = self._roots()
        progress, clock = self._begun(position, found)
        fetch = Fetch(self._s3, Cutter(self.connector), self.settings.connections)
        for batch in fetch.batches(self._jobs(found, progress, clock)):
            yield self._page(batch, progress)
            if self.stopping.is_set():
                return
        yield Page((), progress.position(), 0.0)

    def _page(self, batch: Batch, progress: Progress) -> Page:
        """Return a page of what was fetched."""
        if batch.part[0]:
            progress.parts[batch.part[0]] = batch.part[1]
        lag = max(0.0, time.time() - batch.written) if batch.written else None
        return Page(batch.records, progress.position(), lag, batch.skipped, batch.done)

    def check(self) -> Iterator[Check]:
        """Try to list the bucket and to read an object, the first there is."""
        settings = self.settings
        yield identity(settings)
        keys: list[str] = []

        def listed() -> str:
            page = self._ask(Prefix=settings.prefix, MaxKeys=20)
            keys.extend(each["Key"] for each in page.get("Contents", ()) if each["Size"])
            return f"{len(keys)} objects at its beginning"

        def got() -> str:
            arn = f"arn:aws:s3:::{settings.bucket}/{keys[0]}"
            with refusals("s3:GetObject", arn):
                self._s3.get_object(Bucket=settings.bucket, Key=keys[0])["Body"].close()
            return keys[0]

        yield tried(f"s3:ListBucket on {settings.bucket}/{settings.prefix}", listed)
        what = f"s3:GetObject (kms:Decrypt) on {settings.bucket}/{settings.prefix}"
        yield tried(what, got) if keys else Check(what, ok=False, detail="no object to try it on")

    def listing(self, since: datetime, until: datetime) -> Iterator[Listed]:
        """Yield the objects of the days from `since` to `until`, in order of their keys."""
        for root in self._roots():
            wanted = (
                days(root, since.date(), until.date(), self._below)
                if root.years is not None
                else (None,)
            )
            for day in wanted:
                for found in self._objects(self._folder(root, day)):
                    if found.size and (day or since.timestamp() <= found.written):
                        yield Listed(
                            f"s3://{self.settings.bucket}/{found.key}",
                            datetime.fromtimestamp(found.written, UTC),
                        )

    def close(self) -> None:
        """Close the connections."""
        if "_s3" in self.__dict__:
            self._s3.close()

    def _begun(self, position: Position | None, found: Sequence[Root]) -> tuple[Progress, Clock]:
        """Return how far the roots are, new ones included, and when this reading began."""
        progress = Progress(position)
        for root in found:
            progress.walks.setdefault(root.name, self._new(root))
        return progress, Clock(datetime.now(UTC), int(self.settings.late_h * 3600))

    def _wanted(self) -> Wanted:
        source = type(self.connector).__module__.rpartition(".")[2]
        settings = self.settings
        return Wanted(FOLDERS.get(source, frozenset()), settings.accounts, settings.regions)

    def _roots(self) -> list[Root]:
        return roots(self.settings.prefix, self._below, self._wanted())

    def _new(self, root: Root) -> Walk:
        """Return where to begin with a root."""
        if root.years is None:
            return Walk(UNDATED, date.min)
        first = date(root.first, 1, 1)
        if self.settings.since is not None:
            first = max(first, self.settings.since.astimezone(UTC).date())
        return Walk(first, first)

    def _jobs(self, found: Sequence[Root], progress: Progress, clock: Clock) -> Iterator[Job]:
        """Yield what is to be read."""
        today = clock.now.date()
        plans = [self._plan(root, progress.walks[root.name], today) for root in found]
        for day, _, root in heapq.merge(*plans, key=lambda each: each[:2]):
            yield from self._walk(root, day, progress, clock)
        yield Job(wait=True)
        for root in found:
            yield from self._sweep(root, progress, clock)

    def _plan(self, root: Root, walk: Walk, today: date) -> Iterator[tuple[date, str, Root]]:
        """Yield the days of a root that were not walked, and today whether it is there or not."""
        if root.years is None:
            if walk.next != UNDATED:
                yield date.min, root.prefix, root
            return
        last = None
        for last in days(root, walk.next, today, self._below):
            yield last, root.prefix, root
        if walk.next <= today and last != today:
            yield today, root.prefix, root

    def _walk(self, root: Root, day: date, progress: Progress, clock: Clock) -> Iterator[Job]:
        """Yield the objects of a day in the order of their keys."""
        walk, dated = progress.walks[root.name], None if root.years is None else day
        after = walk.after if walk.next == day else ""
        for found in self._objects(self._folder(root, dated), after):
            if self._is_ours(found, dated):
                yield self._job(found, progress, partial(walk.walked, found, dated, clock))
        yield Job(done=partial(walk.end_of_walk, dated, clock))

    def _sweep(self, root: Root, progress: Progress, clock: Clock) -> Iterator[Job]:
        """Yield the objects of open days that have not been read, in the order of writing."""
        walk = progress.walks[root.name]
        if root.years is None:
            yield from self._swept(root, None, progress, clock)
            return
        day = walk.open
        while day < walk.next:
            yield from self._swept(root, day, progress, clock)
            yield Job(done=partial(walk.end_of_sweep, day, clock))
            day += timedelta(days=1)

    def _swept(
        self, root: Root, day: date | None, progress: Progress, clock: Clock
    ) -> Iterator[Job]:
        walk = progress.walks[root.name]
        while True:
            fresh = (
                (found.written, found)
                for found in self._objects(self._folder(root, day))
                if walk.is_new(found, day, clock) and self._is_ours(found, day)
            )
            chosen = heapq.nsmallest(MANY, fresh)
            for _, found in chosen:
                yield self._job(found, progress, partial(walk.swept, found, day, clock))
            if len(chosen) < MANY:
                return
            yield Job(wait=True)

    def _job(self, found: Found, progress: Progress, note: Callable[[], None]) -> Job:
        def done() -> None:
            progress.parts.pop(found.key, None)
            note()

        return Job(found, done, self.settings.bucket, skip=progress.parts.get(found.key, 0))

    def _is_ours(self, found: Found, day: date | None) -> bool:
        """Return whether an object may hold records: folders are objects of no bytes."""
        since = self.settings.since
        if day is None and since is not None and found.written < since.timestamp():
            return False
        return found.size > 0

    def _folder(self, root: Root, day: date | None) -> str:
        return root.prefix if day is None else root.day(day)

    def _objects(self, prefix: str, after: str = "") -> Iterator[Found]:
        """Yield the objects below a prefix, from the key after `after` on."""
        asked: dict[str, Any] = {"Prefix": prefix, **({"StartAfter": after} if after else {})}
        while True:
            page = self._ask(**asked)
            for each in page.get("Contents", ()):
                written = int(each["LastModified"].timestamp())
                storage = each.get("StorageClass", "STANDARD")
                yield Found(each["Key"], each["Size"], written, storage)
            if not page.get("IsTruncated"):
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]

    def _below(self, prefix: str) -> list[str]:
        """Return the folders right below a prefix."""
        asked: dict[str, Any] = {"Prefix": prefix, "Delimiter": "/"}
        found: list[str] = []
        while True:
            page = self._ask(**asked)
            found += [each["Prefix"] for each in page.get("CommonPrefixes", ())]
            if not page.get("IsTruncated"):
                return found
            asked["ContinuationToken"] = page["NextContinuationToken"]

    def _ask(self, **asked: Any) -> Any:
        with refusals("s3:ListBucket", f"arn:aws:s3:::{self.settings.bucket}"):
            return self._s3.list_objects_v2(Bucket=self.settings.bucket, **asked)
