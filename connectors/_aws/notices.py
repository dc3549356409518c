"""What tells of a new object: S3's own notifications, EventBridge's, CloudTrail's; through SNS.

Sources: S3 User Guide, "Event message structure" (keys are URL-encoded) and "EventBridge event
message structure" (keys are plain); SNS Developer Guide, "Parsing message formats"; CloudTrail
User Guide, "Configuring Amazon SNS notifications for CloudTrail".
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_plus

import msgspec

_CREATED: Final = "ObjectCreated:"
_TEST: Final = "s3:TestEvent"
_SNS: Final = 3  # a message wrapped in a message wrapped in one: what is deeper is not ours


class Notice(NamedTuple):
    """One object that was written."""

    bucket: str
    key: str
    size: int
    version: str
    written: int


class Told(NamedTuple):
    """What a message says.

    Attributes
    ----------
    notices
        The objects.
    other
        Kinds of events in it that tell of no new object, such as ``test``.
    """

    notices: list[Notice]
    other: list[str]


def read(body: str) -> Told | None:
    """Return what a message says, or None where nobody knows."""
    try:
        message = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return None
    for _ in range(_SNS):
        wrapped = _at(message, "Message")
        if not isinstance(wrapped, str) or "Type" not in message:
            break
        try:
            message = msgspec.json.decode(wrapped)
        except (ValueError, RecursionError):
            return None
    found = _told(message)
    return found if found.notices or found.other else None


def _told(message: Any) -> Told:
    if _at(message, "Event") == _TEST:
        return Told([], ["test"])
    told = Told([], [])
    if isinstance(records := _at(message, "Records"), list):
        for record in records:
            name = _at(record, "eventName")
            if isinstance(name, str) and name.removeprefix("s3:").startswith(_CREATED):
                told.notices.extend(_of_s3(record))
            elif isinstance(name, str):
                told.other.append("not_created")
    elif _at(message, "source") == "aws.s3":
        if _at(message, "detail-type") == "Object Created":
            told.notices.extend(_of_eventbridge(message))
        else:
            told.other.append("not_created")
    elif isinstance(keys := _at(message, "s3ObjectKey"), list):
        bucket = _at(message, "s3Bucket")
        found = [each for each in keys if isinstance(each, str) and isinstance(bucket, str)]
        told.notices.extend(Notice(bucket, key, 0, "", 0) for key in found)
    elif isinstance(_at(message, "digestS3Object") or _at(message, "validationStatus"), str):
        told.other.append("not_created")
    return told


def _of_s3(record: Any) -> Iterator[Notice]:
    bucket, key = _at(record, "s3", "bucket", "name"), _at(record, "s3", "object", "key")
    if isinstance(bucket, str) and isinstance(key, str):
        entry = _at(record, "s3", "object")
        yield _notice(bucket, unquote_plus(key), entry, "versionId", _at(record, "eventTime"))


def _of_eventbridge(message: Any) -> Iterator[Notice]:
    bucket, key = _at(message, "detail", "bucket", "name"), _at(message, "detail", "object", "key")
    if isinstance(bucket, str) and isinstance(key, str):
        entry = _at(message, "detail", "object")
        yield _notice(bucket, key, entry, "version-id", _at(message, "time"))


def _notice(bucket: str, key: str, entry: Any, version: str, time: Any) -> Notice:
    size, named = _at(entry, "size"), _at(entry, version)
    try:
        written = int(datetime.fromisoformat(time).timestamp())
    except (TypeError, ValueError):
        written = 0
    return Notice(
        bucket,
        key,
        size if isinstance(size, int) else 0,
        named if isinstance(named, str) else "",
        written,
    )


def _at(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
