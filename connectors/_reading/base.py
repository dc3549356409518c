"""What a reader is: the contract that every way in fulfils.

::

    reader   = Reader(settings, connector)
    for page in reader.read(position):          # blocks; None: from the beginning
        the broker has page.records             # acknowledged by all replicas
        page.position is stored
        # only now does the generator go on: what follows its `yield` may tell the source
        # (delete the SQS message, answer the HTTP request)

`read` ends when there is nothing more for now; the runner calls it again after
`ReaderSettings.poll_s`. A failure is raised as one of the errors of `Reader.read`: the
runner waits with jitter and calls `read` again from the stored position, so a reader
needs no retries of its own but for what its client library does.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from connectors.base import Connector

#: Where reading goes on: JSON, at most `MAX_POSITION` bytes of it.
Position = dict[str, Any]
MAX_POSITION = 900_000


class Record(NamedTuple):
    """One message for ``raw.<source>``.

    Attributes
    ----------
    value
        The source's own bytes: an event, an envelope of events, or lines of text.
    id
        Stable name of the record at its source, the same whenever it is read again
        (``s3://bucket/key#0``, ``audit.log:inode:offset``). Events without an id of their
        own get theirs from it, so that reading twice does not double them. Empty: none.
    key
        Kafka key, where records that belong together must stay in one partition.
    problem
        What is wrong, where the record cannot be read as it should: a reason of one lower
        case word, a colon and one sentence (``gzip: expected the end of …, found …``). The
        record becomes a dead letter with that reason; `value` is what there is of it.
    """

    value: bytes
    id: str = ""
    key: bytes | None = None
    problem: str = ""


class Page(NamedTuple):
    """Records that were read together.

    Attributes
    ----------
    records
        May be empty, where only the position moves.
    position
        Where to go on once the broker has `records`.
    lag_s
        Seconds between now and the newest record the source is known to have that has not
        been read, as far as the source tells; None where it does not.
    skipped
        Records of the source that are none of ours (a digest file, a heartbeat), by reason.
        Counted in the metrics; anything that may be an event belongs into `records`.
    done
        `Listed.id` of what has been read to its end with this page, also where there was no
        record in it. Readers that cannot list leave it out.
    """

    records: Sequence[Record]
    position: Position
    lag_s: float | None = None
    skipped: Mapping[str, int] = MappingProxyType({})
    done: Sequence[str] = ()


class Check(NamedTuple):
    """One line of ``sentinel connector test``.

    Attributes
    ----------
    what
        What was tried: ``s3:ListBucket on logs-bucket/AWSLogs``.
    ok
        Whether it worked.
    detail
        What was found, and where it failed what is missing and how to grant it.
    """

    what: str
    ok: bool
    detail: str = ""


class Listed(NamedTuple):
    """One thing the source says it has, for ``sentinel reconcile``.

    Attributes
    ----------
    id
        As the `Record.id` of what is read from it: of an object up to the last ``#``, of an
        event (`Reader.lists_events`) all of it.
    time
        When it was written there.
    records
        How many events are in it, where the source says so.
    """

    id: str
    time: datetime
    records: int | None = None


class ReaderSettings(BaseModel):
    """Settings of every reader; a subclass adds its own, each with a description.

    Secrets are `pydantic.SecretStr` and come from files or the environment, never from
    the command line.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    since: datetime | None = Field(
        None, description="Where to begin the first time (ISO 8601); none: at the oldest there is."
    )
    poll_s: float = Field(30.0, gt=0, description="Seconds between two looks for something new.")


class SourceError(Exception):
    """The source refused, or could not be reached: try again later.

    Parameters
    ----------
    detail
        Expected, found, what to do.
    retry_after_s
        When the source asked to be left alone for that long (``Retry-After``).
    """

    def __init__(self, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class DeniedError(SourceError):
    """Credentials are missing, wrong or expired, or lack a right; the message names which."""


class Reader(ABC):
    """A way in. One instance reads one configured input; not shared between threads.

    Parameters
    ----------
    settings
        An instance of the class's `Settings`.
    connector
        The source; readers of several sources ask it for keys and log sources.

    Attributes
    ----------
    stopping
        Set when the runner is to stop: a reader that waits waits on it, and then ends.
    """

    Settings: ClassVar[type[ReaderSettings]] = ReaderSettings
    #: Whether `read` itself waits for what comes (HTTP, sockets): it is then called again at once.
    waits: ClassVar[bool] = False
    #: Whether `listing` names single events, of an API that has no objects. What arrived of
    #: those is noted page by page, not one by one.
    lists_events: ClassVar[bool] = False

    def __init__(self, settings: Any, connector: Connector) -> None:
        self.settings = settings
        self.connector = connector
        self.stopping = threading.Event()

    @abstractmethod
    def read(self, position: Position | None) -> Iterator[Page]:
        """Yield what the source has from `position` on, in pages, until there is no more for now.

        Pages hold at most some thousand records or 4 MiB, so that memory is bounded.
        Readers that are sent to (HTTP, sockets) wait here, and end after `poll_s` of silence.

        Raises
        ------
        DeniedError
            Credentials or rights.
        SourceError
            Anything else that trying again may mend: throttling, 5xx, a broken connection.
        """

    def check(self) -> Iterator[Check]:
        """Try credentials and rights, one check each; never raises for what a user can mend."""
        yield Check("settings", ok=True, detail="nothing to check")

    def listing(self, since: datetime, until: datetime) -> Iterator[Listed]:
        """Yield what the source says it has in a span of time, for ``sentinel reconcile``.

        Raises
        ------
        NotImplementedError
            The source cannot say.
        """
        raise NotImplementedError(f"{type(self).__name__}: this way in cannot list what it has")

    def close(self) -> None:
        """Let go of connections and files."""
        return
