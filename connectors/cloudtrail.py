"""AWS CloudTrail: management and data events of AWS accounts.

Takes what people already have: a single event, a log file (``{"Records": […]}``), a JSON
array, an EventBridge event (the record is its ``detail``), and a CloudWatch Logs
subscription (``logEvents[].message``). A record's bytes are carried on exactly as found.

An event needs ``eventTime`` (or ``@timestamp``, which Logstash's CloudTrail codec makes of
it), ``eventName`` and ``eventSource``; without ``eventID`` it gets
its id from its place in Kafka. A time before 2000 or more than `FUTURE_MS` ahead of the
clock is absurd and refused: a wrong clock must not move the watermark for everyone.

Source: AWS CloudTrail User Guide, "CloudTrail record contents".
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, ClassVar, Final, cast

import numpy as np

from connectors._cloudtrail import ocsf_map
from connectors._cloudtrail.classes import classify
from connectors._cloudtrail.envelope import records
from connectors._cloudtrail.identity import Identity, entity
from connectors._json.decoder import MAX_EVENT_BYTES, JsonDecoder
from connectors.base import OCSF, Columns, Connector, LogSource, Summary
from schemas.columns.records import Column, Records, Texts
from schemas.ocsf import AUTHENTICATION
from schemas.typed import attribute
from sentinel.errors import MappingError

MANY: Final = 500
"""Records from which on it pays to look for those that are alike: with 100 of ours, normalize
takes 0.9 times the time with 5,000 in a batch, 1.15 times with 1,000, 1.6 times with 100."""
FUTURE_MS: Final = 24 * 3600 * 1000
"""How far ahead of this machine's clock an event may be, in milliseconds."""
PAST_MS: Final = 946_684_800_000
"""2000-01-01T00:00:00Z in milliseconds since the epoch."""

_REQUIRED: Final = {"eventName": str, "eventSource": str}
_SUCCESS, _FAILURE = 1, 2
_INFORMATIONAL: Final = 1
_IDENTITY: Final = {
    "type": "type",
    "arn": "arn",
    "principal": "principalId",
    "account": "accountId",
    "user_name": "userName",
    "invoked_by": "invokedBy",
    "provider": "identityProvider",
    "issuer_arn": "sessionContext.sessionIssuer.arn",
    "on_behalf_of": "onBehalfOf.userId",
}
# Sign-ins tell their outcome in a field named after the operation, in one of these.
_ANSWERS: Final = ("responseElements", "serviceEventDetails")
_SIGN_INS: Final = frozenset(
    {
        "CheckMfa",
        "ConsoleLogin",
        "CredentialVerification",
        "ExitRole",
        "SwitchRole",
        "UserAuthentication",
    }
)
_OUTCOMES: Final = frozenset(f"{part}.{name}" for part in _ANSWERS for name in _SIGN_INS)
_FIELDS: Final = (
    frozenset(
        {"@timestamp", "awsRegion", "errorCode", "eventID", "eventTime", "readOnly"}
        | {"sourceIPAddress", "userAgent"}
        | {f"userIdentity.{path}" for path in _IDENTITY.values()}
    )
    | _OUTCOMES
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MEMO: Final = 1 << 16


class CloudTrailDecoder(JsonDecoder):
    """`JsonDecoder` that can also leave very many records undecoded until they are looked at."""

    def __init__(self, fields: frozenset[str]) -> None:
        super().__init__("CloudTrail", _REQUIRED, _FIELDS | fields, dotted_keys=False)

    def all(self, raws: Sequence[bytes]) -> Records | None:
        """Return records to decode on demand, or None where one of them is unusual."""
        needed = ("eventName", "eventSource", "userIdentity")
        return self.records(raws, self._raw_name, kept="eventID", needed=needed)


class CloudTrail(Connector):
    """CloudTrail records, one JSON object each."""

    logsources: ClassVar[tuple[LogSource, ...]] = (LogSource(product="aws", service="cloudtrail"),)
    readers: ClassVar[dict[str, str]] = {
        "digests": "connectors._aws.digest:CloudTrailDigests",
        "logs": "connectors._aws.logs:LogEvents",
        "lookup": "connectors._aws.lookup:LookupEvents",
    }

    def __init__(self) -> None:
        self._times: dict[str, int] = {}
        self._sessions: dict[tuple[str, str], str] = {}
        self._core = self.decoder(frozenset())
        self._when = Column(self._time_of, "@timestamp", "eventTime")
        self._who = Column(
            lambda event: self._entity(event.userIdentity) or event.eventSource,
            "userIdentity",
            "eventSource",
        )

    def split(self, value: bytes) -> Iterable[bytes]:
        """Return the records of an envelope, or the message itself; see the module docstring."""
        return records(value)

    def decoder(self, fields: frozenset[str]) -> CloudTrailDecoder:
        """Return a decoder for `summarise` and the Sigma `fields` given."""
        return CloudTrailDecoder(fields)

    def decode_all(self, decoder: Any, units: Sequence[bytes]) -> Sequence[Any]:
        """Decode many records at once; very many on demand, where none of them is unusual."""
        if max(map(len, units), default=0) > MAX_EVENT_BYTES:
            return super().decode_all(decoder, units)
        if len(units) >= MANY and (records := decoder.all(units)) is not None:
            return cast(Records, records)
        decoded: list[Any] = decoder.decode_many(units)
        return decoded

    def summarise(self, event: Any) -> Summary:
        """Return the columns of a decoded record.

        Raises
        ------
        MappingError
            Reason ``missing_field``: no ``eventTime``. Reason ``timestamp``: it is not
            a time, or an absurd one.
        """
        service, operation = event.eventSource, event.eventName
        class_uid, activity_id = _kind(event)
        failed = event.errorCode
        if class_uid == AUTHENTICATION and not failed:
            failed = _answer(event) == "Failure"
        uid, region = event.eventID, event.awsRegion
        address, agent = event.sourceIPAddress, event.userAgent
        if not uid.__class__ is region.__class__ is address.__class__ is agent.__class__ is str:
            uid, region, address, agent = map(_said, (uid, region, address, agent))
        # The tuple is made directly: this runs for every event, and `Summary()` takes double.
        return tuple.__new__(
            Summary,
            (
                uid or None,
                self._time_of(event),
                class_uid,
                activity_id,
                _FAILURE if failed else _SUCCESS,
                _INFORMATIONAL,
                self._entity(event.userIdentity) or service,
                operation,
                service,
                address,
                agent,
                region,
            ),
        )

    def columns(self, events: Sequence[Any]) -> Columns:
        """Return the summaries of many records: cheaper column by column, a fifth or so."""
        if isinstance(events, Records):
            return self._alike(events)
        services = [event.eventSource for event in events]
        operations = [event.eventName for event in events]
        reads = [event.readOnly is True or event.readOnly == "true" for event in events]
        kinds = list(map(classify, services, operations, reads))
        classes = [class_uid for class_uid, _ in kinds]
        statuses = [_FAILURE if event.errorCode else _SUCCESS for event in events]
        if AUTHENTICATION in classes:
            for row, class_uid in enumerate(classes):
                if class_uid == AUTHENTICATION and _answer(events[row]) == "Failure":
                    statuses[row] = _FAILURE
        try:
            times = [self._times[event.eventTime] for event in events]
        except (KeyError, TypeError):
            times = [self.summarise(event).time for event in events]
        return (
            [v if (v := event.eventID).__class__ is str and v else None for event in events],
            times,
            classes,
            [activity_id for _, activity_id in kinds],
            statuses,
            [_INFORMATIONAL] * len(events),
            [self._entity(event.userIdentity) or event.eventSource for event in events],
            operations,
            services,
            [v if (v := event.sourceIPAddress).__class__ is str else "" for event in events],
            [v if (v := event.userAgent).__class__ is str else "" for event in events],
            [v if (v := event.awsRegion).__class__ is str else "" for event in events],
        )

    def _alike(self, events: Records) -> Columns:
        """Return the columns of records, each worked out once for all that are alike."""
        classes = events.numbers(_CLASS)
        statuses = events.numbers(_STATUS)
        signs_in = events.numbers(_SIGNS_IN).astype(bool)
        for row in np.flatnonzero(signs_in & (classes == AUTHENTICATION)).tolist():
            if _answer(events[row]) == "Failure":
                statuses[row] = _FAILURE
        return (
            _native_ids(events),
            events.numbers(self._when),
            classes,
            events.numbers(_ACTIVITY),
            statuses,
            np.full(len(events), _INFORMATIONAL),
            events.strings(self._who),
            *map(events.strings, _STRINGS),
        )

    def _time_of(self, event: Any) -> int:
        """Return the event time; raises as `summarise` does."""
        text = event.eventTime
        if text.__class__ is not str:
            text = _other_time(event)
        return self._times.get(text) or self._time(text)

    def to_ocsf(self, unit: bytes) -> OCSF:
        """Map one record to an OCSF event."""
        return ocsf_map.build(unit, self.summarise(self._core.decode(unit)))

    def _entity(self, user: Any) -> str:
        """Return who acted, of a decoded ``userIdentity`` of any shape."""
        try:
            kind, arn = user.type, user.arn
            if arn.__class__ is str and arn:
                if kind in ("IAMUser", "Root"):
                    return str(arn)
                if kind == "AssumedRole":
                    key = (arn, user.sessionContext.sessionIssuer.arn)
                    return self._sessions.get(key) or self._session(key, user)
        except (AttributeError, TypeError):
            pass  # not the usual objects: null, or decoded whole because a rule wants it whole
        return entity(_identity(user))

    def _session(self, key: tuple[str, str], user: Any) -> str:
        """Work out and remember the entity of a role's session."""
        if len(self._sessions) >= _MEMO:
            self._sessions.clear()
        who = self._sessions[key] = entity(_identity(user))
        return who

    def _time(self, text: str) -> int:
        """Return milliseconds since the epoch, and remember them."""
        when = _milliseconds(text)
        if len(self._times) >= _MEMO:
            self._times.clear()
        self._times[text] = when
        return when


def _kind(event: Any) -> tuple[int, int]:
    """Return class and activity of a decoded record."""
    read_only = event.readOnly
    return classify(event.eventSource, event.eventName, read_only is True or read_only == "true")


def _native_ids(events: Records) -> Sequence[str | None] | Texts:
    """Return the source's own ids."""
    return events.plain_texts() or [_said(event.eventID) or None for event in events]


def _other_time(event: Any) -> str:
    """Return ``@timestamp`` where there is no ``eventTime``."""
    text = getattr(event, attribute("@timestamp"))
    if isinstance(text, str):
        return text
    raise MappingError(
        "missing_field",
        f"expected eventTime (ISO 8601 text), found {event.eventTime!r:.60}; "
        "send CloudTrail's own records",
    )


def _milliseconds(text: str) -> int:
    """Parse an ISO 8601 time, UTC where it names no zone; refuse absurd ones."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise MappingError(
            "timestamp", f"expected eventTime like 2024-05-01T12:00:00Z, found {text!r:.60}"
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    when = (moment - _EPOCH) // timedelta(milliseconds=1)
    if not PAST_MS <= when <= time.time() * 1000 + FUTURE_MS:
        raise MappingError(
            "timestamp",
            f"expected eventTime between 2000 and one day from now, found {text!r:.60}; "
            "check the clock of the source and of this machine",
        )
    return when


def _said(value: Any) -> str:
    """Return text as it is, anything else as nothing said."""
    return value if isinstance(value, str) else ""


def _answer(event: Any) -> Any:
    """Return what a sign-in says of its outcome (``Success``, ``Failure``), or None."""
    operation = event.eventName
    if operation not in _SIGN_INS:
        return None
    answers = (_look(getattr(event, part), operation) for part in _ANSWERS)
    return next(filter(None, answers), None)


def _look(value: Any, name: str) -> Any:
    """Return `name` of a decoded object, which may be a struct, a dict, or neither."""
    return value.get(name) if isinstance(value, dict) else getattr(value, name, None)


def _identity(user: Any) -> Identity:
    """Return the `Identity` of a decoded ``userIdentity`` of any shape."""
    found = {}
    for field, path in _IDENTITY.items():
        value = user
        for name in path.split("."):
            value = _look(value, name)
        if isinstance(value, str):
            found[field] = value
    return Identity(**found)


_KIND: Final = ("eventSource", "eventName", "readOnly")
_CLASS: Final = Column(lambda event: _kind(event)[0], *_KIND)
_ACTIVITY: Final = Column(lambda event: _kind(event)[1], *_KIND)
_STATUS: Final = Column(lambda event: _FAILURE if event.errorCode else _SUCCESS, "errorCode")
_SIGNS_IN: Final = Column(lambda event: event.eventName in _SIGN_INS, "eventName")
_STRINGS: Final = (
    Column(attrgetter("eventName"), "eventName"),
    Column(attrgetter("eventSource"), "eventSource"),
    Column(lambda event: _said(event.sourceIPAddress), "sourceIPAddress"),
    Column(lambda event: _said(event.userAgent), "userAgent"),
    Column(lambda event: _said(event.awsRegion), "awsRegion"),
)
