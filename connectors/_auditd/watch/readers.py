"""Ways into auditd: its log file and its plug-in socket, with names for users and a watchdog.

Both are the common readers (`connectors._reading.tailing`, `connectors._reading.unix`), whose
lines pass the watchdog (`connectors._auditd.watch.watchdog`) and, where the host's ``passwd``
is given, get names (`connectors._auditd.watch.users`).

For the socket, auditd's plug-in is switched on in ``/etc/audit/plugins.d/af_unix.conf``::

    active = yes
    format = string
    args = 0640 /var/run/audispd_events

Source: audit-userspace, ``audisp-af_unix(8)``, ``auditd.conf(5)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic import Field

from connectors._auditd.watch.users import Users
from connectors._auditd.watch.watchdog import Watchdog
from connectors._reading.base import Check, DeniedError, Page, Position, ReaderSettings, Record
from connectors._reading.tailing.reader import TailReader, TailSettings
from connectors._reading.unix import UnixReader, UnixSettings

_STATE: Final = "watchdog"
SOCKET: Final = Path("/var/run/audispd_events")
LOG: Final = "/var/log/audit/audit.log"


class WatchSettings(ReaderSettings):
    """What is done with the lines of an audit log."""

    passwd: Path | None = Field(
        None,
        description="Users of the host whose records these are, in the form of /etc/passwd, where "
        "auditd writes log_format = RAW; none: as auditd wrote them.",
    )
    watchdog: bool = Field(
        True, description="Whether to say where records of a host are missing, as an event."
    )


class AuditTailSettings(TailSettings, WatchSettings):
    """Which logs; without any, that of this host."""

    paths: list[str] = Field(
        [LOG], min_length=1, description="Files, or shell patterns (/var/log/audit/audit.log)."
    )


class AuditUnixSettings(UnixSettings, WatchSettings):
    """Which socket; without any, where the plug-in makes it."""

    path: Path = Field(SOCKET, description="Path of the socket.")


class _Watched:
    """Names and watchdog over the lines of a reader."""

    def __init__(self, settings: Any, state: Any) -> None:
        self._users = Users(settings.passwd) if settings.passwd else None
        self._watchdog = Watchdog(state) if settings.watchdog else None
        if self._users:
            try:
                self._users.refresh()
            except OSError as error:
                raise DeniedError(
                    f"{settings.passwd}: expected the users of the host, found {error.strerror}"
                ) from error

    def pages(self, pages: Iterable[Page]) -> Iterator[Page]:
        """Yield pages with what is to be said."""
        for page in pages:
            records = list(self._records(page.records))
            position = dict(page.position)
            if self._watchdog:
                position[_STATE] = self._watchdog.state()
            yield page._replace(records=records, position=position)

    def _records(self, records: Iterable[Record]) -> Iterator[Record]:
        for record in records:
            if record.problem:
                yield record
                continue
            said = self._watchdog.see(record.value) if self._watchdog else None
            if self._users:
                yield record._replace(value=self._users.enriched(record.value))
            else:
                yield record
            if said is not None:
                yield Record(said, f"{record.id}!lost" if record.id else "", record.key)


def _state(position: Position | None) -> tuple[Position | None, Any]:
    """Take the watchdog's part out of a position."""
    rest = dict(position or {})
    state = rest.pop(_STATE, None)
    return rest or None, state


def _users_check(settings: Any) -> Iterator[Check]:
    if settings.passwd:
        try:
            Users(settings.passwd).refresh()
        except OSError as error:
            yield Check(f"read {settings.passwd}", ok=False, detail=str(error.strerror))
        else:
            yield Check(f"read {settings.passwd}", ok=True)


class AuditTail(TailReader):
    """``audit.log`` and its rotations."""

    Settings: ClassVar[type[ReaderSettings]] = AuditTailSettings

    def read(self, position: Position | None) -> Iterator[Page]:
        """Yield the lines written since, and what the watchdog says; raises as `TailReader`."""
        rest, state = _state(position)
        yield from _Watched(self.settings, state).pages(super().read(rest))

    def check(self) -> Iterator[Check]:
        """Try the files and the users."""
        yield from super().check()
        yield from _users_check(self.settings)


class AuditUnix(UnixReader):
    """The socket of the af_unix plug-in; its position holds the watchdog's state alone."""

    Settings: ClassVar[type[ReaderSettings]] = AuditUnixSettings

    def read(self, position: Position | None) -> Iterator[Page]:
        """Yield the lines that come, and what the watchdog says; raises as `UnixReader`."""
        rest, state = _state(position)
        yield from _Watched(self.settings, state).pages(super().read(rest))

    def check(self) -> Iterator[Check]:
        """Try the socket and the users."""
        yield from super().check()
        yield from _users_check(self.settings)
