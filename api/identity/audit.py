"""The audit log: what was changed and who signed in, in a chain of hashes.

Written inside the transaction of the change itself, so that there is neither a change
without its line nor a line without its change. Who, from where and in which request is
taken from the transaction (`api.deps.Database.writing` sets them), number, time and hash
come from a trigger of the database: the API's role cannot choose, change or remove any
(``infra/postgres/migrations/0013.audit.sql``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

#: Longest detail, in bytes of JSON; what a change is about, not a copy of it.
MAX_DETAIL = 16_384


class Broken(NamedTuple):
    """Where a chain does not hold, and why."""

    tenant: str
    seq: int
    why: str


class Head(NamedTuple):
    """The end of a chain: compare it with one noted elsewhere to see that nothing was cut off."""

    tenant: str
    seq: int
    hash: str


async def audit(
    connection: Any,
    action: str,
    target: str,
    detail: Mapping[str, Any] | None = None,
    *,
    tenant: str | None = None,
) -> None:
    """Add a line to the audit log, in the transaction of the change that it tells of.

    Call it last in the transaction: writers of one tenant's log wait for one another until
    they commit.

    Parameters
    ----------
    connection
        As `api.deps.Database.writing` yields it.
    action
        What was done, ``noun.verb`` such as ``alert.resolve``.
    target
        Id of what it was done to.
    detail
        More; no secrets. Cut to its keys where it is larger than `MAX_DETAIL`.
    tenant
        Whose log; default: the transaction's tenant.
    """
    given = dict(detail or {})
    text = orjson.dumps(given, default=str, option=orjson.OPT_SORT_KEYS)
    if len(text) > MAX_DETAIL:
        text = orjson.dumps({"left_out": sorted(map(str, given))[:100]})
    await connection.execute(
        "INSERT INTO audit_log (tenant, action, target, detail) "
        "VALUES (coalesce($1, sentinel_tenant()), $2, $3, $4)",
        tenant,
        action,
        target.replace("\x00", "")[:512],
        text.decode(),
    )


def digest(row: Mapping[str, Any], previous: bytes) -> bytes:
    """Return the hash that a row of ``audit_log`` must have after one with hash `previous`."""
    at: datetime = row["at"]
    fields = (
        row["tenant"],
        str(row["seq"]),
        at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        *(row[name] for name in ("actor", "address", "request", "action", "target", "detail")),
    )
    whole = hashlib.sha256(previous)
    for field in fields:
        data = field.encode()
        whole.update(b"%d:%s" % (len(data), data))
    return whole.digest()


def verify(
    rows: Iterable[Mapping[str, Any]], anchors: Mapping[str, Head]
) -> tuple[dict[str, Head], list[Broken]]:
    """Check chains of rows, which come by tenant and number.

    Parameters
    ----------
    rows
        Whole chains.
    anchors
        Ends of chains noted earlier, by tenant: they must still be there.

    Returns
    -------
    dict
        The end of each chain.
    list
        The first thing wrong with each chain that does not hold.
    """
    heads: dict[str, Head] = {}
    broken: dict[str, Broken] = {}
    for row in rows:
        tenant, seq = row["tenant"], row["seq"]
        before = heads.get(tenant, Head(tenant, 0, ""))
        why = _fault(row, before, anchors.get(tenant))
        if why:
            broken.setdefault(tenant, Broken(tenant, seq, why))
        heads[tenant] = Head(tenant, seq, bytes(row["hash"]).hex())
    for tenant, anchor in anchors.items():
        end = heads.get(tenant, Head(tenant, 0, ""))
        if end.seq < anchor.seq:
            why = f"expected at least the {anchor.seq} lines there were, found {end.seq}"
            broken.setdefault(tenant, Broken(tenant, end.seq, why))
    return heads, list(broken.values())


def _fault(row: Mapping[str, Any], before: Head, anchor: Head | None) -> str:
    if row["seq"] != before.seq + 1:
        return f"expected line {before.seq + 1}, found {row['seq']}: lines are missing"
    if bytes(row["previous"]).hex() != before.hash:
        return "it does not follow the line before it"
    if digest(row, bytes(row["previous"])) != bytes(row["hash"]):
        return "its content is not what was written"
    found = bytes(row["hash"]).hex()
    if anchor is not None and anchor.seq == row["seq"] and anchor.hash != found:
        return "it is not the line that was here when the log was verified last"
    return ""
