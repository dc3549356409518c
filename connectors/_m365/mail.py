"""What Exchange and Defender say of mail, as OCSF Email Activity."""

from __future__ import annotations

import re
from typing import Any, Final

from connectors._json.fields import Fields, some
from connectors._json.objects import address, email, items, text, texts, whole
from connectors._json.records import inside, said
from connectors.base import OCSF, Summary

_DIRECTIONS: Final = {
    "Inbound": (1, "Inbound"),
    "Outbound": (2, "Outbound"),
    "IntraOrg": (3, "Internal"),
}
_SEND: Final = 1
_MOST: Final = 64
_HEX: Final = re.compile("[0-9A-Fa-f]{1,128}")


def objects(fields: Fields, summary: Summary) -> OCSF:
    """Return the objects of Email Activity; `fields` name an address."""
    owner = said(fields, "MailboxOwnerUPN")
    sender = email(said(fields, "P2Sender", "P1Sender"))
    to = [mail for mail in map(email, texts(fields.get("Recipients"))) if mail][:_MOST]
    sent = summary.activity_id == _SEND
    if sent:
        sender = sender or email(owner) or email(said(fields, "SendAsUserSmtp"))
    elif not to and email(owner):
        to = [owner]
    item = inside(fields, "Item")
    uid = said(fields, "InternetMessageId", "NetworkMessageId") or text(
        item.get("InternetMessageId")
    )
    direction = _DIRECTIONS.get(said(fields, "Directionality"))
    number, caption = direction or ((2, "Outbound") if sent else (0, "Unknown"))
    client = address(said(fields, "SenderIp"))
    mail = some(
        files=_attachments(fields),
        message_uid=uid,
        size=whole(item.get("SizeInBytes")),
        subject=said(fields, "Subject") or text(item.get("Subject")),
        to=to,
        uid=text(item.get("Id")),
    )
    if sender:
        mail["from"] = sender
    for name in ("InternetMessageId", "SizeInBytes", "Subject", "Id"):
        item.pop(name, None)
    return some(
        direction=caption,
        direction_id=number,
        email=mail,
        message_trace_uid=said(fields, "NetworkMessageId"),
        **({"src_endpoint": {"ip": client}} if client else {}),
    )


def named(owner: Any, p2: Any, p1: Any, recipients: Any) -> bool:
    """Say whether a sender, recipient or owner of a mailbox is named by an address."""
    return any(map(email, (owner, p2, p1))) or any(map(email, texts(recipients)))


def _attachments(fields: Fields) -> list[OCSF]:
    rows = []
    for one in items(fields.get("AttachmentData"))[:_MOST]:
        digest = text(one.get("SHA256"))
        good = digest and _HEX.fullmatch(digest)
        sha = [{"algorithm": "SHA-256", "algorithm_id": 3, "value": digest}] if good else []
        name = text(one.get("FileName"))
        if name:
            rows.append(some(name=name, ext=text(one.get("FileType")), type_id=0, hashes=sha))
    return rows
