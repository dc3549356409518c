"""Constraints of Gatekeeper, polled from the Kubernetes API, each when its audit says otherwise.

Every kind of constraint is a resource of its own in the group ``constraints.gatekeeper.sh``:
they are listed first, then the constraints of each, page by page. Gatekeeper audits every
minute and mostly finds the same, so a constraint is handed on when what its status says of
violations has changed since, and at least every `repeat_s`. A violation that came and went
between two audits is not in any status: its webhook's log has it.

The token needs to get and list all resources of that group::

    kind: ClusterRole
    rules: [{apiGroups: [constraints.gatekeeper.sh], resources: ["*"], verbs: [get, list]}]

Source: Gatekeeper documentation, "Audit"; Kubernetes documentation, "API concepts".
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec
from pydantic import Field

from connectors._gatekeeper.cluster import POD, SERVER, Cluster, from_config, in_pod
from connectors._reading.base import (
    Check,
    Page,
    Position,
    Reader,
    ReaderSettings,
    Record,
    SourceError,
)
from connectors._reading.paging import Pile
from connectors._reading.polling.api import Api
from connectors.base import Connector

NEEDS: Final = (
    'a ClusterRole with apiGroups ["constraints.gatekeeper.sh"], resources ["*"], verbs '
    '["get", "list"], bound to this account'
)
GROUP: Final = "/apis/constraints.gatekeeper.sh/v1beta1"
PAGE: Final = 100
MOST: Final = 10_000
"""Constraints remembered; what is beyond them is handed on at every look."""


class _Resource(msgspec.Struct):
    name: str


class _Resources(msgspec.Struct):
    resources: list[_Resource] = []


class _ListMeta(msgspec.Struct):
    next: str = msgspec.field(default="", name="continue")


class _List(msgspec.Struct):
    items: list[msgspec.Raw] = []
    metadata: _ListMeta = msgspec.field(default_factory=_ListMeta)


_resources: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(_Resources)
_list: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(_List)
_object: Final = msgspec.json.Decoder(dict[str, Any])


class ConstraintSettings(ReaderSettings):
    """Which cluster, and how often; without any, the one that this runs in."""

    kubeconfig: Path | None = Field(None, description="Path of a kubeconfig; none: as a pod.")
    context: str = Field("", description="Context of the kubeconfig; none: the current one.")
    server: str = Field(SERVER, description="Address of the API, as a pod.")
    token_file: Path = Field(POD / "token", description="Path of the token, as a pod.")
    ca: str = Field(str(POD / "ca.crt"), description="Path of the API's certificates, as a pod.")
    poll_s: float = Field(60.0, gt=0, description="Seconds between two looks at the constraints.")
    repeat_s: float = Field(
        86_400.0, gt=0, description="Seconds after which what has not changed is told again."
    )


class ConstraintReader(Reader):
    """Constraints with the violations in their status; ids are ``gatekeeper:<uid>@<audit>``."""

    Settings: ClassVar[type[ReaderSettings]] = ConstraintSettings
    settings: ConstraintSettings

    def __init__(self, settings: Any, connector: Connector) -> None:
        super().__init__(settings, connector)
        #: Returns the time, seconds since the epoch.
        self.clock = time.time
        self._folder = tempfile.TemporaryDirectory(prefix="sentinel-")
        self._api: Api | None = None
        self._server = ""

    def _connect(self) -> Api:
        if self._api is None:
            found = self._cluster()
            self._server = found.server.rstrip("/")
            self._api = Api(found.token, NEEDS, verify=found.ca)
        return self._api

    def _cluster(self) -> Cluster:
        given = self.settings
        if given.kubeconfig:
            return from_config(given.kubeconfig, given.context, Path(self._folder.name))
        return in_pod(given.server, given.token_file, given.ca)

    def read(self, position: Position | None) -> Iterator[Page]:
        """Yield constraints whose violations changed.

        Raises
        ------
        DeniedError, SourceError
            As `connectors._reading.polling.api.Api.send`; also where there is no such group,
            that is, no Gatekeeper.
        """
        known: dict[str, Any] = dict((position or {}).get("known", {}))
        pile, now, there = Pile(), self.clock(), set[str]()
        for raw in self._constraints():
            name, digest, record = _told(raw)
            there.add(name)
            before, told = known.get(name, ("", 0.0))
            if before == digest and now - told < self.settings.repeat_s:
                pile.skip("unchanged")
                continue
            if len(known) < MOST or name in known:
                known[name] = (digest, now)
            if pile.add(record):
                yield pile.page({"known": dict(known)}, 0.0)
        gone = known.keys() - there
        yield pile.page({"known": {n: d for n, d in known.items() if n not in gone}}, 0.0)

    def _constraints(self) -> Iterator[bytes]:
        for kind in self._kinds():
            yield from self._pages(kind)

    def _kinds(self) -> list[str]:
        api = self._connect()
        found = api.get(f"{self._server}{GROUP}").as_type(_resources, f"GET {GROUP}")
        return sorted(each.name for each in found.resources if "/" not in each.name)

    def _pages(self, kind: str, size: int = PAGE) -> Iterator[bytes]:
        api, token = self._connect(), ""
        while True:
            asked = {"limit": str(size)} | ({"continue": token} if token else {})
            url = f"{self._server}{GROUP}/{kind}"
            found = api.get(url, asked).as_type(_list, f"list {kind}")
            yield from map(bytes, found.items)
            if not found.metadata.next or found.metadata.next == token:
                return
            token = found.metadata.next

    def check(self) -> Iterator[Check]:
        """List the kinds of constraints, and one of each."""
        try:
            kinds = self._kinds()
        except SourceError as error:
            yield Check(f"GET {GROUP}", ok=False, detail=str(error))
            return
        yield Check(f"GET {GROUP}", ok=True, detail=", ".join(kinds) or "no constraint yet")
        for kind in kinds:
            try:
                next(self._pages(kind, 1), b"")
            except SourceError as error:
                yield Check(f"list {kind}", ok=False, detail=str(error))
            else:
                yield Check(f"list {kind}", ok=True)

    def close(self) -> None:
        """Let go of connections, and of what was written."""
        if self._api is not None:
            self._api.close()
        self._folder.cleanup()


def _told(raw: bytes) -> tuple[str, str, Record]:
    """Return a constraint's name, what tells a change of its violations, and the record."""
    try:
        found = _object.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        found = {}
    metadata, status = found.get("metadata"), found.get("status")
    metadata = metadata if isinstance(metadata, dict) else {}
    status = status if isinstance(status, dict) else {}
    name = f"{found.get('kind')}/{metadata.get('name')}/{metadata.get('uid')}"
    what = [status.get("violations"), status.get("totalViolations"), metadata.get("generation")]
    digest = hashlib.sha256(msgspec.json.encode(what)).hexdigest()[:24]
    return name, digest, Record(raw, f"gatekeeper:{name}@{status.get('auditTimestamp')}")
