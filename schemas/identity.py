"""Deterministic identity: the same event gets the same id, however often it is read.

Design section 3: an event's id is uuid5(tenant, source, the source's own id, else
its place: topic/partition/offset, or path:index for a file). uuid5 is RFC 9562,
section 5.5; it is computed here from the hash because `uuid.uuid5` costs four times
as much and this runs once per event.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha1
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from schemas.columns.records import Texts

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
        The source's own id of the event, else its place.
    """
    name = f"{tenant}\0{source}\0{native_id}".encode(errors="surrogatepass")
    digest = bytearray(sha1(_SEED + name, usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50  # version 5
    digest[8] = digest[8] & 0x3F | 0x80  # variant of RFC 9562
    return bytes(digest)


def event_uids(
    tenants: Sequence[str], source: str, native_ids: Sequence[str] | Texts
) -> NDArray[np.uint8]:
    """Return `event_uid` of many events of one source: ``uint8[n, 16]``."""
    heads = {
        tenant: _SEED + f"{tenant}\0{source}\0".encode(errors="surrogatepass")
        for tenant in dict.fromkeys(tenants)
    }
    if isinstance(native_ids, Texts):
        uids = _digests(tenants, heads, native_ids)
    else:
        names = [
            heads[tenant] + ident.encode(errors="surrogatepass")
            for tenant, ident in zip(tenants, native_ids, strict=True)
        ]
        found = b"".join([sha1(name, usedforsecurity=False).digest() for name in names])
        uids = np.frombuffer(found, np.uint8).reshape(-1, 20)[:, :16].copy()
    uids[:, 6] = uids[:, 6] & 0x0F | 0x50  # version 5
    uids[:, 8] = uids[:, 8] & 0x3F | 0x80  # variant of RFC 9562
    return uids


def _digests(tenants: Sequence[str], heads: dict[str, bytes], texts: Texts) -> NDArray[np.uint8]:
    from schemas.columns.sha import digests  # compiled code, which takes its time to load

    which = np.zeros(len(tenants), np.int32)
    if len(heads) > 1:
        places = dict(zip(heads, range(len(heads)), strict=True))
        which = np.fromiter(map(places.__getitem__, tenants), np.int32, len(tenants))
    return digests(list(heads.values()), which, *texts)


def uid_text(uid: bytes) -> str:
    """Return an id in its usual text form.

    >>> uid_text(bytes(16))
    '00000000-0000-0000-0000-000000000000'
    """
    text = uid.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
