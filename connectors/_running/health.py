"""Says something of the state of a source: a record of ``raw.health``, from which rules alert."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import msgspec

from connectors._running.config import DEFAULT_TENANT
from connectors._running.delivery import TENANT_HEADER, Sender
from sentinel import topics

TOPIC = topics.raw("health")


def say(
    producer: Sender,
    kind: str,
    source: str,
    message: str,
    *,
    tenant: str = DEFAULT_TENANT,
    name: str = "",
    details: Mapping[str, Any] | None = None,
    same: Sequence[str] = (),
) -> None:
    """Queue one finding.

    Parameters
    ----------
    kind
        ``gap``, ``silence``, ``resumed`` or ``drift``.
    name
        The input it is about, where it is about one.
    same
        What makes two findings the same one, said twice: the later is then dropped.
        Nothing: each is one of its own.
    """
    now = datetime.now(UTC).isoformat()
    parts = (kind, source, name, *(same or (now,)))
    record = {
        "id": sha256("\0".join(parts).encode(errors="replace")).hexdigest()[:32],
        "time": now,
        "kind": kind,
        "source": source,
        "input": name,
        "message": message,
        "details": dict(details or {}),
    }
    headers = {} if tenant == DEFAULT_TENANT else {TENANT_HEADER: tenant}
    key = f"{source}/{name}".encode(errors="replace")
    producer.send(TOPIC, msgspec.json.encode(record), key=key, headers=headers)
