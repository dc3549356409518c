"""Get objects, several at a time, and hand their records on in the order of the objects."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, NamedTuple

from connectors._aws.account import code_of, refusals, told
from connectors._aws.objects.cut import Cutter
from connectors._aws.objects.progress import Found
from connectors._reading.base import Record, SourceError
from connectors._reading.fault import fault

LARGE: Final = 2 << 20
"""Objects beyond it, in bytes as stored, are streamed when their turn comes."""
RECORDS: Final = 1000
BYTES: Final = 2 << 20
_CHUNK: Final = 256 << 10
_GONE: Final = {"NoSuchKey", "NoSuchVersion", "404", "MethodNotAllowed"}
_ARCHIVED: Final = "InvalidObjectState"


def _nothing() -> None:
    return


class Job(NamedTuple):
    """An object to be read; without `found`, only something to be noted in its turn.

    Attributes
    ----------
    found
        The object.
    done
        Called once all its records were handed on.
    bucket
        Where it is.
    version
        Of the object, where that is known.
    skip
        How many of its records were read before.
    wait
        Nothing after it is looked for before everything up to it is done.
    """

    found: Found | None = None
    done: Callable[[], None] = _nothing
    bucket: str = ""
    version: str = ""
    skip: int = 0
    wait: bool = False


@dataclass(slots=True)
class Batch:
    """Records of one object or several.

    Attributes
    ----------
    part
        The object that continues in the next batch and how many of its records there were;
        an empty key where none does.
    written
        When the last object was written, seconds; 0 unknown.
    done
        Names of the objects that end with this batch, ``s3://bucket/key``.
    """

    records: list[Record] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    part: tuple[str, int] = ("", 0)
    written: int = 0
    done: list[str] = field(default_factory=list)
    size: int = 0

    def add(self, record: Record) -> bool:
        """Add a record; return whether that is enough."""
        self.records.append(record)
        self.size += len(record.value)
        return len(self.records) >= RECORDS or self.size >= BYTES

    def skip(self, reason: str) -> None:
        """Count something that is no record."""
        self.skipped[reason] = self.skipped.get(reason, 0) + 1


class Fetch:
    """Gets objects for one reader.

    Parameters
    ----------
    client
        Of S3.
    cutter
        Cuts them up.
    connections
        Requests at a time.
    """

    def __init__(self, client: Any, cutter: Cutter, connections: int) -> None:
        self._client = client
        self._cutter = cutter
        self._connections = connections

    def batches(self, jobs: Iterable[Job]) -> Iterator[Batch]:
        """Yield the records of objects, in their order; `Job.done` is called before.

        Raises
        ------
        SourceError
            An object cannot be read for now; what came before it was yielded.
        """
        batch = Batch()
        pool = ThreadPoolExecutor(self._connections, thread_name_prefix="s3-get")
        try:
            for job, got in self._ahead(jobs, pool):
                if job.found is not None:
                    for record, index in self._records(job, got, batch):
                        if batch.add(record):
                            batch.part = (job.found.key, index + 1)
                            yield batch
                            batch = Batch()
                    batch.written = job.found.written
                    batch.done.append(f"s3://{job.bucket}/{job.found.key}")
                job.done()
        except SourceError:
            if batch.records or batch.done:
                # The object at fault is not done, and what was read of it is read again.
                yield batch
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        if batch.records or batch.skipped or batch.done:
            yield batch

    def _ahead(
        self, jobs: Iterable[Job], pool: ThreadPoolExecutor
    ) -> Iterator[tuple[Job, Future[bytes] | None]]:
        """Yield jobs in order, each with what is being got for it."""
        waiting: deque[tuple[Job, Future[bytes] | None]] = deque()
        for job in jobs:
            small = job.found is not None and job.found.size <= LARGE
            waiting.append((job, pool.submit(self._whole, job) if small else None))
            while len(waiting) > 2 * self._connections or (job.wait and waiting):
                yield waiting.popleft()
        yield from waiting

    def _records(
        self, job: Job, got: Future[bytes] | None, batch: Batch
    ) -> Iterator[tuple[Record, int]]:
        """Yield the records of an object with their number."""
        found = job.found
        if found is None:
            return
        name = f"s3://{job.bucket}/{found.key}"
        try:
            chunks = (got.result(),) if got is not None else self._chunks(job)
            records = enumerate(self._cutter.records(chunks, name))
            yield from ((record, at) for at, record in islice(records, job.skip, None))
        except _UnreadableError as error:
            batch.skip(error.reason)
            if error.reason == "archived":
                what = f"expected an object that can be read, found it in {found.storage}"
                yield fault("archived", f"{what}; restore it and read it again", name), 0

    def _whole(self, job: Job) -> bytes:
        return b"".join(self._chunks(job))

    def _chunks(self, job: Job) -> Iterator[bytes]:
        """Yield the bytes of an object."""
        from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError

        if job.found is None:
            return
        arn = f"arn:aws:s3:::{job.bucket}/{job.found.key}"
        asked = {"Bucket": job.bucket, "Key": job.found.key}
        if job.version:
            asked["VersionId"] = job.version
        with refusals("s3:GetObject", arn):
            try:
                body = self._client.get_object(**asked)["Body"]
            except ClientError as error:
                code = code_of(error)
                if code in _GONE:
                    raise _UnreadableError("object_gone") from error
                if code == _ARCHIVED:
                    raise _UnreadableError("archived") from error
                raise told(error, "s3:GetObject", arn) from error
        try:
            with body:
                yield from body.iter_chunks(_CHUNK)
        except (HTTPClientError, IncompleteReadError, OSError) as error:
            raise SourceError(f"s3:GetObject on {arn}: the connection broke: {error}") from error


class _UnreadableError(Exception):
    """An object that is not there, or not to be had."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
