"""OCSF of events from their raw bytes, for whoever stores or shows events that were accepted."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import orjson

from connectors._sources import sources
from connectors.base import OCSF, Connector
from schemas.identity import uid_text
from sentinel import log
from sentinel.metrics import ERRORS
from sentinel.settings import Settings

LOG = log.get(__name__)


class Mapper:
    """Writes events out in OCSF: one connector a source, made when first needed.

    Parameters
    ----------
    settings
        Say which sources there are.
    stage
        Whose errors they are, in the metrics.
    connectors
        The sources, where they are known already.
    finish
        Adds to the OCSF event what others know of it.
    """

    def __init__(
        self,
        settings: Settings,
        stage: str,
        connectors: Mapping[str, type[Connector]] | None = None,
        finish: Callable[[OCSF], OCSF] | None = None,
    ) -> None:
        self._finish = finish
        self._settings = settings
        self._stage = stage
        self._classes = connectors
        self._made: dict[str, Connector] = {}

    def ocsf(self, source: str, tenant: str, uid: bytes, raw: bytes) -> bytes:
        """Return an event as OCSF JSON; it was accepted before, so this does not fail.

        Should it all the same (a newer version summarised it), the answer is the raw text
        with the reason.
        """
        try:
            event = self._connector(source).to_ocsf(raw)
            event = event if self._finish is None else self._finish(event)
        except Exception as error:
            LOG.exception("an event has no OCSF form", action="ocsf_bug", source=source)
            ERRORS.labels(self._stage, source, "ocsf").inc()
            event = {
                "message": f"no OCSF form: {type(error).__name__}: {error}",
                "raw_data": raw.decode("utf-8", "replace"),
            }
        return _encoded(event, tenant, uid)

    def _connector(self, source: str) -> Connector:
        if source not in self._made:
            if self._classes is None:
                self._classes = sources(self._settings)
            self._made[source] = self._classes[source]()
        return self._made[source]


def _encoded(event: OCSF, tenant: str, uid: bytes) -> bytes:
    metadata = event.setdefault("metadata", {})
    metadata["tenant_uid"] = tenant
    if not metadata.get("uid"):
        metadata["uid"] = uid_text(uid)
    return orjson.dumps(event, default=str)
