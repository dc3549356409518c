"""Deterministic identity: the same event gets the same id, however often it is read.

Design section 3: an event's id is uuid5(tenant, source, the source's own id, else
its place: topic/partition/offset, or path:index for a file). uuid5 is RFC 9562,
section 5.5; it is computed here from the hash because `uuid.uuid5` costs four times
as much and this runs once per event.
"""

from __future__ import annotations

from hashlib import sha1
from uuid import UUID

#: Namespace of all ids made here: uuid5(NAMESPACE_URL, "https://sentinel.invalid/event").
NAMESPACE = UUID("af5eada3-fb44-52aa-a1cb-9d25f544efe1")

_SEED = NAMESPACE.bytes


def event_uid(tenant: str, source: str, native_id: str) -> bytes:
    """Return the 16 bytes of an event's id.

    Parameters
    ----------
    tenant, source
        Names without NUL.
    native_id
        The source's own id of the event, else its place (see `place`).
    """
    name = f"{tenant}\0{source}\0{native_id}".encode(errors="surrogatepass")
    digest = bytearray(sha1(_SEED + name, usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50  # version 5
    digest[8] = digest[8] & 0x3F | 0x80  # variant of RFC 9562
    return bytes(digest)


def place(topic: str, partition: int, offset: int, index: int) -> str:
    """Return what stands for the own id of the `index`-th event of a Kafka message."""
    return f"{topic}/{partition}/{offset}/{index}"


def uid_text(uid: bytes) -> str:
    """Return an id in its usual text form.

    >>> uid_text(bytes(16))
    '00000000-0000-0000-0000-000000000000'
    """
    text = uid.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
