"""Containers of a storage account: flow logs and archived logs, in blobs that grow.

Network Watcher rewrites the end of an hour's blob every minute: new records come before the
closing ``]}``. Diagnostic settings append lines. Either way what was read stays where it is, so
the position is the byte after the last whole record of each blob. Blobs that did not change
for `keep_s` are forgotten, and so are at most `MOST`: what was last written before the oldest
of those remembered is done with.

Source: Microsoft, "Flow logging for network security groups" (block list), "Azure resource logs
in storage", "Get Blob" (ranges).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from pydantic import Field, SecretStr

from connectors._azure.reading.credential import AzureSettings, Credential
from connectors._azure.reading.failure import failure
from connectors._reading.base import (
    Check,
    Listed,
    Page,
    Position,
    Reader,
    ReaderSettings,
    Record,
    SourceError,
)
from connectors._reading.fault import fault
from connectors._reading.paging import Pile
from connectors.base import Connector

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

NEEDS: Final = "the role Storage Blob Data Reader on the container"
PIECE: Final = 4 << 20
"""Bytes of a blob that are read at once."""
LARGEST: Final = 64 << 20
"""Bytes of one record beyond which it is given up."""
PATIENCE_S: Final = 3600.0
"""Seconds after which half a record at the end of a blob is one that stays so."""
MOST: Final = 8000
"""Blobs remembered."""
_HEAD: Final = re.compile(r'\s*\{\s*"records"\s*:\s*\[')
_BETWEEN: Final = re.compile(r"[\s,\ufeff]*")
_decoder: Final = json.JSONDecoder()
_CONTAINERS: Final = {
    "nsg_flow": "insights-logs-networksecuritygroupflowevent",
    "azure_resource": "insights-logs-auditevent",
}


class BlobSettings(AzureSettings, ReaderSettings):
    """Which container of which account."""

    account_url: str = Field("", description="https://<account>.blob.core.windows.net")
    connection_string: SecretStr = Field(
        SecretStr(""), description="Connection string of the account; none: an identity."
    )
    container: str = Field("", description="Container; none: the one Azure uses for the source.")
    prefix: str = Field("", description="Names of blobs begin with it.")
    keep_s: float = Field(
        172_800.0, ge=3600, description="Seconds without a change after which a blob is forgotten."
    )


class _Blob(NamedTuple):
    """A blob as it is listed; `changed` in seconds since the epoch."""

    name: str
    size: int
    changed: float


class BlobReader(Reader):
    """Records in the blobs of a container; ids are ``azblob:container/name#byte``."""

    Settings: ClassVar[type[ReaderSettings]] = BlobSettings
    settings: BlobSettings

    def __init__(self, settings: Any, connector: Connector) -> None:
        super().__init__(settings, connector)
        self._credential = Credential(settings)
        source = type(connector).__module__.rpartition(".")[2]
        self._container = settings.container or _CONTAINERS.get(source, "")
        self._client: ContainerClient | None = None
        #: Returns the time, seconds since the epoch.
        self.clock = time.time

    def read(self, position: Position | None) -> Iterator[Page]:
        """Yield what was added to blobs since `position`, the longest unchanged blob first."""
        from azure.core.exceptions import AzureError

        places = _Places(position or {}, self.settings.keep_s)
        try:
            waiting = [blob for blob in self._list(places.floor) if places.is_open(blob)]
            for blob in sorted(waiting, key=lambda blob: (blob.changed, blob.name)):
                yield from self._read(blob, places)
                if self.stopping.is_set():
                    return
        except AzureError as error:
            raise failure(error, f"read container {self._container}", NEEDS) from error

    def _list(self, floor: float) -> Iterator[_Blob]:
        """Yield the blobs that changed since `floor`, and since `since`."""
        since = self.settings.since.timestamp() if self.settings.since else 0.0
        for found in self._connected().list_blobs(name_starts_with=self.settings.prefix or None):
            changed = found.last_modified.timestamp()
            if changed >= max(floor, since):
                yield _Blob(found.name, found.size, changed)

    def _read(self, blob: _Blob, places: _Places) -> Iterator[Page]:
        """Yield the new records of a blob."""
        from azure.core.exceptions import ResourceNotFoundError

        pile, want = Pile(), PIECE
        while places.is_open(blob):
            offset = places.offset(blob)
            try:
                length = min(want, blob.size - offset)
                data = self._connected().download_blob(blob.name, offset, length).readall()
            except ResourceNotFoundError:
                pile.skip("deleted")
                places.move(blob, blob.size, whole=True)
                break
            used = 0
            for used, value in cut(data, offset == 0):
                places.move(blob, offset + used)
                if value is not None:
                    name = f"azblob:{self._container}/{blob.name}#{offset + used - len(value)}"
                    if pile.add(Record(value, name)):
                        yield pile.page(places.position())
            if offset + len(data) >= blob.size:
                self._end(blob, offset + used, data[used:], places, pile)
                break
            if used == 0 and want >= LARGEST:
                pile.add(self._unreadable(blob, offset, data))
                places.move(blob, blob.size, whole=True)
            want = min(want * 2, LARGEST) if used == 0 else PIECE
            if self.stopping.is_set():
                break
        yield pile.page(places.position())

    def _end(self, blob: _Blob, offset: int, rest: bytes, places: _Places, pile: Pile) -> None:
        """Judge what is left after the last whole record: the closing, half a record, or junk."""
        unfinished = rest.strip(b"]} \t\r\n,")
        if unfinished and self.clock() - blob.changed < PATIENCE_S:
            return  # it may be written as we read: it is looked at again
        if unfinished:
            pile.add(self._unreadable(blob, offset, rest))
        places.move(blob, offset, whole=True)

    def _unreadable(self, blob: _Blob, offset: int, data: bytes) -> Record:
        name = f"azblob:{self._container}/{blob.name}#{offset}"
        detail = (
            f"expected a JSON record at byte {offset} of {blob.name}, found none in {len(data)}"
        )
        return fault("json", f"{detail} bytes; the rest of the blob is left out", name, data)

    def _connected(self) -> ContainerClient:
        from azure.storage.blob import ContainerClient

        if self._client is None:
            secret = self.settings.connection_string.get_secret_value()
            options = self._credential.options
            if secret:
                self._client = ContainerClient.from_connection_string(
                    secret, self._container, **options
                )
            else:
                self._client = ContainerClient(
                    self.settings.account_url, self._container, self._credential.get(), **options
                )
        return self._client

    def check(self) -> Iterator[Check]:
        """List the container, and read a byte of its first blob."""
        from azure.core.exceptions import AzureError

        what = f"list container {self._container}"
        try:
            names = self._connected().list_blobs(name_starts_with=self.settings.prefix or None)
            first = next(iter(names), None)
            if first is not None and first.size:
                what = f"read {first.name}"
                self._connected().download_blob(first.name, 0, 1).readall()
        except (AzureError, SourceError, ValueError) as error:
            known = error if isinstance(error, AzureError) else None
            said = str(failure(known, what, NEEDS)) if known else str(error)
            yield Check(what, ok=False, detail=said)
        else:
            yield Check(what, ok=True, detail="there are blobs" if first else "it is empty")

    def listing(self, since: datetime, until: datetime) -> Iterator[Listed]:
        """Yield the blobs that were last written between `since` and `until`."""
        from azure.core.exceptions import AzureError

        try:
            for found in self._connected().list_blobs(
                name_starts_with=self.settings.prefix or None
            ):
                if since <= found.last_modified < until:
                    yield Listed(f"azblob:{self._container}/{found.name}", found.last_modified)
        except AzureError as error:
            raise failure(error, f"list container {self._container}", NEEDS) from error

    def close(self) -> None:
        """Let go of connections, and of tokens."""
        client, self._client = self._client, None
        if client is not None:
            client.close()
        self._credential.close()


class _Places:
    """Where reading goes on in each blob."""

    def __init__(self, position: Position, keep_s: float) -> None:
        self.floor = float(position.get("floor", 0.0))
        #: Next byte, last change, and bytes that were looked at, by name.
        self._blobs: dict[str, tuple[int, float, int]] = {
            name: (int(offset), float(changed), int(seen))
            for name, (offset, changed, seen) in position.get("blobs", {}).items()
        }
        self._keep_s = keep_s

    def offset(self, blob: _Blob) -> int:
        """Return the next byte to read of a blob."""
        return self._blobs.get(blob.name, (0, 0.0, 0))[0]

    def is_open(self, blob: _Blob) -> bool:
        """Say whether there is something in a blob that was not looked at."""
        return self._blobs.get(blob.name, (0, 0.0, 0))[2] < blob.size

    def move(self, blob: _Blob, offset: int, *, whole: bool = False) -> None:
        """Count a blob as read up to `offset`; `whole`: there is no more in it for now."""
        self._blobs.pop(blob.name, None)
        self._blobs[blob.name] = offset, blob.changed, blob.size if whole else offset
        if len(self._blobs) > MOST:
            oldest = min(changed for _, changed, _ in self._blobs.values())
            if oldest < blob.changed:  # others of the same second may not have been read yet
                self._forget(oldest + 0.001)

    def _forget(self, floor: float) -> None:
        self.floor = max(self.floor, floor)
        self._blobs = {name: at for name, at in self._blobs.items() if at[1] >= self.floor}

    def position(self) -> Position:
        """Return where to go on, without blobs that will not change again."""
        newest = max((changed for _, changed, _ in self._blobs.values()), default=0.0)
        self._forget(newest - self._keep_s)
        return {"floor": self.floor, "blobs": {name: list(at) for name, at in self._blobs.items()}}


def cut(data: bytes, first: bool) -> Iterator[tuple[int, bytes | None]]:
    """Yield each whole JSON value of a piece of a blob, and the byte after it.

    The head ``{"records":[`` of the `first` piece comes without a value. What is left at the end
    is the beginning of a value, or the closing ``]}``.
    """
    text = data.decode("utf-8", errors="surrogateescape")
    at = used = 0
    if first and (head := _HEAD.match(text)):
        at = head.end()
        used = len(text[:at].encode("utf-8", errors="surrogateescape"))
        yield used, None
    while True:
        start = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing too
        try:
            _, end = _decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            return
        value = text[start:end].encode("utf-8", errors="surrogateescape")
        used += len(text[at:start].encode("utf-8", errors="surrogateescape")) + len(value)
        at = end
        yield used, value
