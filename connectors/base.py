"""What a connector is: the contract that every source's file fulfils.

The normalize stage does, for each Kafka message of ``raw.<source>``::

    units    = connector.split(value)                   # one message → raw events
    units    = assembler.feed(units, offset)            # only sources with multi-record events
    event    = decoder.decode(unit)                     # typed, only the fields in use
    summary  = connector.summarise(event)               # the columns that travel downstream
    hits     = matcher.match(event)                     # Sigma, through decoder.getter(field)

and, where the whole event is wanted (stores, API, ``sentinel normalize``),
``connector.to_ocsf(unit)``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO, Any, ClassVar, NamedTuple, Protocol

from schemas.ocsf import head
from sentinel import reading

OCSF = dict[str, Any]
#: One sequence for each field of `Summary`.
Columns = Sequence[Any]


class LogSource(NamedTuple):
    """A Sigma log source; an empty string is "not stated"."""

    product: str = ""
    category: str = ""
    service: str = ""


class Summary(NamedTuple):
    """What the stages after normalize need of an event, without decoding it again.

    Empty string means "the source does not say". Strings are the source's own
    spelling. OCSF numbers are those of the OCSF version in `schemas.ocsf.VERSION`.

    Attributes
    ----------
    native_id
        The source's own id of the event, or None: the id is then made from
        topic, partition and offset.
    time
        Event time, milliseconds since the epoch, UTC.
    class_uid, activity_id, status_id, severity_id
        OCSF ids; status 0 unknown, 1 success, 2 failure; of a finding its own
        (1 new, 2 in progress, 3 suppressed, 4 resolved, 5 archived).
    entity
        The acting entity: who did it, stable over sessions (an ARN without the
        session name, ``host/user``). Key of the ``events`` topic.
    operation
        What was done (``CreateAccessKey``; the executable that ran).
    service
        Where it was done (``iam.amazonaws.com``; the audit record type).
    src_ip
        Address it came from.
    user_agent
        Client software (user agent; terminal or parent executable).
    region
        Region or host it happened in.
    """

    native_id: str | None
    time: int
    class_uid: int
    activity_id: int
    status_id: int
    severity_id: int
    entity: str
    operation: str
    service: str
    src_ip: str
    user_agent: str
    region: str

    def head(self) -> OCSF:
        """Return the classification attributes of the event: `schemas.ocsf.head`."""
        return head(
            self.class_uid,
            self.activity_id,
            time=self.time,
            severity_id=self.severity_id,
            operation=self.operation,
        )


class Decoder(Protocol):
    """Decodes one raw event into an object that only `getter` and `summarise` look into."""

    def decode(self, unit: bytes) -> Any:
        """Decode; raise `sentinel.errors.DecodeError` or `MappingError` (a dead letter)."""

    def getter(self, field: str) -> Callable[[Any], Any]:
        """Return a function from a decoded event to the value of the source's own `field`.

        `field` is a Sigma field name (``userIdentity.type``). The value is a JSON
        scalar, a list of them (any may match), or None where the event lacks it.
        """


class Assembler(Protocol):
    """Puts records of several lines together into events; state of one raw partition.

    Deterministic: what comes out depends only on what went in, never on the clock,
    so that a replay after a crash gives the same events at the same offsets.
    """

    def feed(self, units: Sequence[bytes], offset: int) -> list[bytes]:
        """Take the units of the message at `offset`; return the events now complete."""

    def flush(self) -> list[bytes]:
        """Return what is still incomplete, as events, and forget it (source went quiet)."""

    def pending(self) -> int:
        """Return how many units wait for others."""

    def snapshot(self) -> bytes:
        """Return the state, for `restore`."""

    def restore(self, state: bytes) -> None:
        """Take up the state that `snapshot` returned."""


class Connector(ABC):
    """One source. Stateless but for what `assembler` returns.

    Contract-tested over all connectors: golden raw → OCSF pairs, OCSF schema
    validity, any bytes at all give an event or a `RecordError` and nothing else.
    """

    #: Sigma log sources whose rules can match events of this source.
    logsources: ClassVar[tuple[LogSource, ...]]
    #: Fields of the source with the address that an event went to, the first that has one:
    #: what rules ask look-ups about as ``intel.dst``.
    destinations: ClassVar[tuple[str, ...]] = ()
    #: Ways in of this source alone, by name: ``module:class`` of a reader (see
    #: `connectors._reading.base`), imported only when it runs. Files, HTTP, Kafka and S3
    #: are there for every source.
    readers: ClassVar[Mapping[str, str]] = {}
    #: Whether a file is one document that only `records` can cut up.
    whole: ClassVar[bool] = False

    def records(self, stream: IO[bytes], time_ms: int | None = None) -> Iterator[bytes]:
        """Return the messages that an unpacked file, or the body of a request, becomes.

        Override where a file is one document that may be larger than a message (16 MiB), and
        set `whole`: a way in must then not cut it up in its own way.

        Parameters
        ----------
        stream
            Read to its end; what it raises goes on to the caller.
        time_ms
            When it was written, milliseconds since the epoch, for sources that do not say;
            None: now.
        """
        return reading.records(stream)

    def split(self, value: bytes) -> Iterable[bytes]:
        """Cut one Kafka message into raw events (an envelope, several lines, or itself).

        Raises
        ------
        DecodeError
            The message cannot even be cut up: it becomes one dead letter.
        """
        return (value,)

    def assembler(self) -> Assembler | None:
        """Return a new assembler where events span several units, else None."""
        return None

    @abstractmethod
    def decoder(self, fields: frozenset[str]) -> Decoder:
        """Return a decoder for what `summarise` needs and the Sigma `fields` given."""

    @abstractmethod
    def summarise(self, event: Any) -> Summary:
        """Return the columns of a decoded event; raise `MappingError` where it cannot."""

    def decode_all(self, decoder: Decoder, units: Sequence[bytes]) -> Sequence[Any]:
        """Decode many units; raise what `decoder` raises if any one cannot be.

        Override where the whole takes less than its parts. `schemas.columns.records.Records` decode
        on demand: then `columns` raises for what cannot be decoded.
        """
        return [decoder.decode(unit) for unit in units]

    def columns(self, events: Sequence[Any]) -> Columns:
        """Return the summaries of many events, one sequence for each field of `Summary`.

        Numbers may be arrays and texts, other than ids, `schemas.batch.Strings`.

        Raises what `summarise` raises. Override where the whole takes less than its parts.
        """
        return list(zip(*map(self.summarise, events), strict=True))

    @abstractmethod
    def to_ocsf(self, unit: bytes) -> OCSF:
        """Map one raw event to an OCSF event; pure, total for what `summarise` accepted.

        ``metadata.uid`` is the source's own id where there is one; the caller sets
        ``metadata.tenant_uid`` and the event id. Raises `RecordError` like the decoder.
        """

    def partition_key(self, unit: bytes) -> bytes | None:
        """Return the Kafka key that keeps units which belong together in one partition."""
        return None
