"""Objects in S3 as notifications in an SQS queue tell of them: no listing, seconds of delay.

A message is deleted once the broker has every record of the objects it tells of; until then it
is only hidden, and comes again after a crash. Queues deliver some messages twice: the records
then carry the same ids. Messages that tell of nothing new (S3's test event, deletions) are
deleted and counted. One that nobody understands is left to come again, and given up as a dead
letter after `max_receives` times; so that it gets there before the queue's own dead-letter
queue does, set that one's count higher.

Rights: ``sqs:ReceiveMessage``, ``sqs:DeleteMessage``, ``sqs:ChangeMessageVisibility``,
``sqs:GetQueueAttributes`` on the queue; ``s3:GetObject`` and ``kms:Decrypt`` as for listing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Final

from pydantic import Field

from connectors._aws.account import AwsSettings, client, identity, refusals, tried
from connectors._aws.notices import Told, read
from connectors._aws.objects.cut import Cutter
from connectors._aws.objects.fetch import Batch, Fetch, Job
from connectors._aws.objects.progress import Found
from connectors._reading.base import Check, Page, Position, Reader
from connectors._reading.fault import fault

MOST: Final = 10
"""Messages of one request; SQS gives no more."""
_SKIPPED_FOLDER: Final = "/CloudTrail-Digest/"


class SqsSettings(AwsSettings):
    """The queue."""

    queue_url: str = Field(pattern=r"^https?://", description="URL of the queue.")
    prefix: str = Field("", description="Objects whose key begins otherwise are left out.")
    visibility_s: int = Field(
        300, ge=1, le=43_200, description="Seconds a message is hidden; prolonged while it is read."
    )
    max_receives: int = Field(
        5, ge=1, le=100, description="Deliveries after which a message is given up."
    )
    wait_s: int = Field(10, ge=0, le=20, description="Seconds to wait for messages.")
    digests: bool = Field(False, description="Read digest files of CloudTrail as if logs.")


@dataclass(slots=True)
class _Message:
    """A message that is being read."""

    receipt: str
    left: int = 0
    hidden_until: float = 0.0


@dataclass(slots=True)
class _Round:
    """What came with one request: messages, objects, and what is no object."""

    messages: list[_Message] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    given: Batch = field(default_factory=Batch)


class S3Notified(Reader):
    """Reads the objects that messages in a queue tell of."""

    Settings = SqsSettings
    settings: SqsSettings
    waits = True

    @cached_property
    def _sqs(self) -> Any:
        return client(self.settings, "sqs")

    @cached_property
    def _s3(self) -> Any:
        return client(self.settings, "s3")

    @property
    def _arn(self) -> str:
        account, _, name = self.settings.queue_url.rpartition("/")
        return f"arn:aws:sqs:*:{account.rpartition('/')[2]}:{name}"

    def read(self, position: Position | None) -> Iterator[Page]:
        """Yield the records of objects told of, until the queue is empty for `wait_s`.

        The queue knows what was read; the position is empty.

        Raises
        ------
        DeniedError, SourceError
            See `connectors._aws.account.refusals`. Messages not done come again.
        """
        fetch = Fetch(self._s3, Cutter(self.connector), self.settings.connections)
        while not self.stopping.is_set() and (received := self._receive()):
            turn = self._turn(received)
            if turn.given.records or turn.given.skipped:
                yield Page(turn.given.records, {}, None, turn.given.skipped)
            self._delete(turn)
            for batch in fetch.batches(turn.jobs):
                self._hide(turn)
                lag = max(0.0, time.time() - batch.written) if batch.written else None
                yield Page(batch.records, {}, lag, batch.skipped, batch.done)
                self._delete(turn)
                if self.stopping.is_set():
                    return
            self._delete(turn)

    def check(self) -> Iterator[Check]:
        """Try the queue; a message that it gives is at once visible again."""
        settings, queue = self.settings, self.settings.queue_url
        yield identity(settings)

        def attributes() -> str:
            with refusals("sqs:GetQueueAttributes", self._arn):
                asked = ["ApproximateNumberOfMessages", "RedrivePolicy"]
                got = self._sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=asked)
            found = got.get("Attributes", {})
            return f"{found.get('ApproximateNumberOfMessages', '?')} messages wait"

        def received() -> str:
            with refusals("sqs:ReceiveMessage", self._arn):
                self._sqs.receive_message(
                    QueueUrl=queue, MaxNumberOfMessages=1, VisibilityTimeout=0, WaitTimeSeconds=0
                )
            return ""

        yield tried(f"sqs:GetQueueAttributes on {self._arn}", attributes)
        yield tried(f"sqs:ReceiveMessage on {self._arn}", received)

    def close(self) -> None:
        """Close the connections."""
        for name in ("_sqs", "_s3"):
            if name in self.__dict__:
                self.__dict__[name].close()

    def _receive(self) -> list[dict[str, Any]]:
        with refusals("sqs:ReceiveMessage", self._arn):
            got = self._sqs.receive_message(
                QueueUrl=self.settings.queue_url,
                MaxNumberOfMessages=MOST,
                WaitTimeSeconds=self.settings.wait_s,
                VisibilityTimeout=self.settings.visibility_s,
                AttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
            )
        return list(got.get("Messages", ()))

    def _turn(self, received: list[dict[str, Any]]) -> _Round:
        """Return what is to be done for messages."""
        turn, until = _Round(), time.monotonic() + self.settings.visibility_s
        taken: dict[tuple[str, str, str], list[_Message]] = {}
        for each in received:
            message = _Message(each["ReceiptHandle"], hidden_until=until)
            told = read(each["Body"])
            if told is None and not self._poison(each, turn.given):
                continue  # it comes again
            turn.messages.append(message)
            if told is not None:
                self._tell(told, message, turn, taken)
        return turn

    def _tell(
        self,
        told: Told,
        message: _Message,
        turn: _Round,
        taken: dict[tuple[str, str, str], list[_Message]],
    ) -> None:
        """Add the objects of a message, each object once."""
        for reason in told.other:
            turn.given.skip(reason)
        for notice in told.notices:
            if not self._is_ours(notice.key) or (not notice.size and notice.key[-1:] == "/"):
                turn.given.skip("other_prefix")
                continue
            message.left += 1
            same = (notice.bucket, notice.key, notice.version)
            waiting = taken.setdefault(same, [])
            waiting.append(message)
            if len(waiting) == 1:
                size = notice.size or (1 << 40)  # not told: stream it
                found = Found(notice.key, size, notice.written or int(time.time()))
                turn.jobs.append(Job(found, partial(_done, waiting), notice.bucket, notice.version))
            else:
                turn.given.skip("duplicate")

    def _is_ours(self, key: str) -> bool:
        if _SKIPPED_FOLDER in f"/{key}" and not self.settings.digests:
            return False
        return key.startswith(self.settings.prefix)

    def _poison(self, each: dict[str, Any], given: Batch) -> bool:
        """Return whether a message nobody understands is given up; it becomes a dead letter."""
        times = int(each.get("Attributes", {}).get("ApproximateReceiveCount", 1))
        if times < self.settings.max_receives:
            given.skip("notice_not_understood")
            return False
        given.skip("poison")
        what = "expected a notification of S3, EventBridge or CloudTrail"
        detail = f"{what}, found another message, {times} times; let nothing else into the queue"
        given.add(fault("poison", detail, f"sqs:{each['MessageId']}", each["Body"].encode()))
        return True

    def _delete(self, turn: _Round) -> None:
        """Delete the messages whose objects the broker has."""
        done = [message for message in turn.messages if message.left == 0]
        turn.messages = [message for message in turn.messages if message.left]
        if not done:
            return
        entries = [{"Id": str(n), "ReceiptHandle": each.receipt} for n, each in enumerate(done)]
        with refusals("sqs:DeleteMessage", self._arn):
            # One that cannot be deleted comes again; its records have the same ids.
            self._sqs.delete_message_batch(QueueUrl=self.settings.queue_url, Entries=entries)

    def _hide(self, turn: _Round) -> None:
        """Keep messages hidden whose time is half over."""
        now, hidden = time.monotonic(), self.settings.visibility_s
        due = [each for each in turn.messages if each.hidden_until - now < hidden / 2]
        if not due:
            return
        entries = [
            {"Id": str(n), "ReceiptHandle": each.receipt, "VisibilityTimeout": hidden}
            for n, each in enumerate(due)
        ]
        with refusals("sqs:ChangeMessageVisibility", self._arn):
            url = self.settings.queue_url
            self._sqs.change_message_visibility_batch(QueueUrl=url, Entries=entries)
        for each in due:
            each.hidden_until = now + hidden


def _done(waiting: list[_Message]) -> None:
    """Note that the broker is about to have an object that messages told of."""
    for message in waiting:
        message.left -= 1
