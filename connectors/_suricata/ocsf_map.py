"""From an EVE event of Suricata to the objects of its OCSF class.

Source: Suricata User Guide, "EVE JSON format".
"""

from __future__ import annotations

import re
from typing import Any, Final

from connectors._json.fields import Fields, some
from connectors._json.objects import endpoint, http_method, items, port, text, texts, whole
from connectors._json.times import moment
from connectors.base import OCSF, Summary
from schemas.ocsf import (
    DETECTION_FINDING,
    DHCP_ACTIVITY,
    DNS_ACTIVITY,
    FTP_ACTIVITY,
    HTTP_ACTIVITY,
    NETWORK_ACTIVITY,
    RDP_ACTIVITY,
    SMB_ACTIVITY,
    SSH_ACTIVITY,
)

_NUMBERS: Final = {"ICMP": 1, "TCP": 6, "UDP": 17, "IPV6-ICMP": 58, "SCTP": 132}
_RCODES: Final = {
    "NOERROR": ("NoError", 0),
    "FORMERR": ("FormError", 1),
    "SERVFAIL": ("ServError", 2),
    "NXDOMAIN": ("NXDomain", 3),
    "NOTIMP": ("NotImp", 4),
    "REFUSED": ("Refused", 5),
    "YXDOMAIN": ("YXDomain", 6),
    "YXRRSET": ("YXRRSet", 7),
    "NXRRSET": ("NXRRSet", 8),
    "NOTAUTH": ("NotAuth", 9),
    "NOTZONE": ("NotZone", 10),
}
_TECHNIQUE: Final = re.compile(r"T\d{4}(?:[._]\d{3})?")
_MD5: Final = re.compile(r"[0-9a-fA-F]{32}")
_SHA1: Final = re.compile(r"[0-9a-fA-F]{40}")
_MOST: Final = 64
_INT: Final = 1 << 31
_BLOCKED: Final = {
    "action": "Denied",
    "action_id": 2,
    "disposition": "Blocked",
    "disposition_id": 2,
}
_ALLOWED: Final = {
    "action": "Allowed",
    "action_id": 1,
    "disposition": "Allowed",
    "disposition_id": 1,
}


def objects(fields: Fields, summary: Summary) -> OCSF:
    """Return everything of an event but the frame."""
    metadata = some(
        correlation_uid=text(fields.get("flow_id")),
        event_code=summary.service,
        log_name="eve",
        log_source=text(fields.get("host")) or text(fields.get("in_iface")),
    )
    if summary.class_uid == DETECTION_FINDING:
        found = _finding(fields, summary)
        found["metadata"] = metadata | {"profiles": ["security_control"]}
        return found
    event = some(
        app_name=text(fields.get("app_proto")),
        connection_info=_connection(fields),
        dst_endpoint=_end(fields, "dest"),
        message=f"{summary.service}: {summary.operation}",
        metadata=metadata,
        src_endpoint=_end(fields, "src") or {"name": "unknown"},
        tls=_tls(fields),
        traffic=_traffic(fields),
    )
    span = fields.get("flow.start") or fields.get("netflow.start")
    event |= some(
        end_time=moment(fields.get("flow.end") or fields.get("netflow.end")),
        start_time=moment(span),
    )
    return event | _BY_CLASS[summary.class_uid](fields, summary)


def _end(fields: Fields, which: str) -> dict[str, Any]:
    ip = fields.get(f"{which}_ip")
    name = ""
    if which == "dest":
        name = text(fields.get("tls.sni")) or text(fields.get("http.hostname"))
    return endpoint(ip, hostname=name, port=port(fields.get(f"{which}_port"))) if ip else {}


def _connection(fields: Fields) -> dict[str, Any]:
    protocol = text(fields.get("proto"))
    version = 6 if ":" in text(fields.get("src_ip")) else 4
    name = f"Internet Protocol version {version} (IPv{version})"
    return some(
        community_uid=text(fields.get("community_id")),
        direction="Unknown",
        direction_id=0,
        protocol_name=protocol.lower(),
        protocol_num=_NUMBERS.get(protocol.upper()),
        protocol_ver=name,
        protocol_ver_id=version,
        uid=text(fields.get("flow_id")),
    )


def _traffic(fields: Fields) -> dict[str, Any]:
    """Return what went each way; from the client's point of view, ``toserver`` is out."""
    sent, got = (whole(fields.get(f"flow.bytes_{way}")) for way in ("toserver", "toclient"))
    packets, back = (whole(fields.get(f"flow.pkts_{way}")) for way in ("toserver", "toclient"))
    if sent is None and got is None:
        return some(
            bytes=whole(fields.get("netflow.bytes")), packets=whole(fields.get("netflow.pkts"))
        )
    return some(
        bytes=(sent or 0) + (got or 0),
        bytes_in=got,
        bytes_out=sent,
        packets=(packets or 0) + (back or 0),
        packets_in=back,
        packets_out=packets,
    )


def _hash(value: Any, pattern: re.Pattern[str], name: str, number: int) -> dict[str, Any] | None:
    found = text(value).replace(":", "")
    if not pattern.fullmatch(found):
        return None
    return {"algorithm": name, "algorithm_id": number, "value": found}


def _tls(fields: Fields) -> dict[str, Any]:
    if not isinstance(fields.record.get("tls"), dict):
        return {}
    issuer, serial = text(fields.get("tls.issuerdn")), text(fields.get("tls.serial"))
    certificate = None
    if issuer and serial:
        print_ = _hash(fields.get("tls.fingerprint"), _SHA1, "SHA-1", 2)
        certificate = some(
            created_time=moment(fields.get("tls.notbefore")),
            expiration_time=moment(fields.get("tls.notafter")),
            fingerprints=[print_] if print_ else None,
            issuer=issuer,
            serial_number=serial,
            subject=text(fields.get("tls.subject")),
        )
    return some(
        certificate=certificate,
        ja3_hash=_hash(fields.get("tls.ja3.hash"), _MD5, "MD5", 1),
        ja3s_hash=_hash(fields.get("tls.ja3s.hash"), _MD5, "MD5", 1),
        sni=text(fields.get("tls.sni")),
        version=text(fields.get("tls.version")) or "unknown",
    )


def _network(fields: Fields, summary: Summary) -> OCSF:
    return some(status_detail=text(fields.get("flow.reason")) or text(fields.get("drop.reason")))


def _queries(fields: Fields) -> list[dict[str, Any]]:
    """Return what was asked, of either version of the format."""
    found = items(fields.get("dns.queries"))
    kind, name = fields.get("dns.rrtype"), fields.get("dns.rrname")
    return found or ([{"rrname": name, "rrtype": kind}] if name else [])


def _dns(fields: Fields, summary: Summary) -> OCSF:
    asked = next((each for each in _queries(fields) if text(each.get("rrname"))), {})
    query = some(
        hostname=text(asked.get("rrname")),
        packet_uid=whole(fields.get("dns.id"), _INT),
        type=text(asked.get("rrtype")),
    )
    answers = [
        some(rdata=text(each.get("rdata")), ttl=whole(each.get("ttl"), _INT), type=each["rrtype"])
        for each in items(fields.get("dns.answers"))[:_MOST]
        if text(each.get("rdata")) and text(each.get("rrtype"))
    ]
    code = text(fields.get("dns.rcode"))
    rcode, rcode_id = _RCODES.get(code, ("Other", 99))
    return some(
        answers=answers,
        query=query if "hostname" in query else None,
        rcode=rcode if code else None,
        rcode_id=rcode_id if code else None,
    )


def _http_objects(fields: Fields) -> OCSF:
    path, _, query = text(fields.get("http.url")).partition("?")
    host = text(fields.get("http.hostname"))
    code = whole(fields.get("http.status"), 1000)
    url = some(
        hostname=host,
        path=path,
        port=port(fields.get("http.http_port")),
        query_string=query,
        url_string=f"http://{host}{path}" if host and path.startswith("/") else "",
    )
    return some(
        http_request=some(
            http_method=http_method(fields.get("http.http_method")),
            referrer=text(fields.get("http.http_refer")),
            url=url if path else None,
            user_agent=text(fields.get("http.http_user_agent")),
            version=text(fields.get("http.protocol")),
        ),
        http_response=some(
            code=code,
            content_type=text(fields.get("http.http_content_type")),
            length=whole(fields.get("http.length"), _INT),
        )
        if code is not None
        else None,
    )


def _http(fields: Fields, summary: Summary) -> OCSF:
    found = _http_objects(fields)
    return found or {"http_request": {"version": "unknown"}}


def _ssh(fields: Fields, summary: Summary) -> OCSF:
    client = text(fields.get("ssh.client.software_version"))
    server = text(fields.get("ssh.server.software_version"))
    versions = (fields.get(f"ssh.{side}.proto_version") for side in ("client", "server"))
    return some(
        message=f"ssh: {client or 'unknown client'} to {server or 'unknown server'}",
        protocol_ver=next(filter(None, map(text, versions)), ""),
    )


def _file(name: str, **more: Any) -> dict[str, Any] | None:
    base = name.replace("\\", "/").rstrip("/").rpartition("/")[2] or name
    found = some(name=base, path=name if name != base else None, type="Unknown", **more)
    return found | {"type_id": 0} if name else None


def _smb(fields: Fields, summary: Summary) -> OCSF:
    return some(
        command=text(fields.get("smb.command")),
        dialect=text(fields.get("smb.dialect")),
        file=_file(text(fields.get("smb.filename"))),
        share=text(fields.get("smb.share")),
        status_code=text(fields.get("smb.status")),
        tree_uid=text(fields.get("smb.tree_id")),
    )


def _ftp(fields: Fields, summary: Summary) -> OCSF:
    name = text(fields.get("ftp_data.filename")) or text(fields.get("ftp.command_data"))
    numbers = (whole(code, _INT) for code in texts(fields.get("ftp.completion_code")))
    codes = [number for number in numbers if number is not None]
    return some(
        codes=codes,
        command=text(fields.get("ftp.command")) or text(fields.get("ftp_data.command")),
        command_responses=texts(fields.get("ftp.reply")),
        file=_file(name) if summary.activity_id in (1, 2, 4) else None,
    )


def _rdp(fields: Fields, summary: Summary) -> OCSF:
    return some(
        identifier_cookie=text(fields.get("rdp.cookie")),
        protocol_ver=text(fields.get("rdp.protocol")),
    )


def _dhcp(fields: Fields, summary: Summary) -> OCSF:
    return some(
        lease_dur=whole(fields.get("dhcp.lease_time"), _INT),
        transaction_uid=text(fields.get("dhcp.id")),
    )


def _attacks(fields: Fields) -> list[dict[str, Any]]:
    found = texts(fields.get("alert.metadata.mitre_technique_id"))
    names = (each.replace("_", ".") for each in found if _TECHNIQUE.fullmatch(each))
    return [
        some(
            technique={"uid": name.partition(".")[0]},
            sub_technique={"uid": name} if "." in name else None,
        )
        for name in dict.fromkeys(names)
    ] + [{"tactic": {"uid": each}} for each in texts(fields.get("alert.metadata.mitre_tactic_id"))]


def _finding(fields: Fields, summary: Summary) -> OCSF:
    sid = text(fields.get("alert.signature_id"))
    rule = some(
        category=text(fields.get("alert.category")),
        name=summary.operation,
        type="Rule",
        type_id=1,
        uid=sid,
        version=text(fields.get("alert.rev")),
    )
    query = _dns(fields, summary).get("query")
    evidence = some(
        connection_info=_connection(fields),
        dst_endpoint=_end(fields, "dest"),
        file=_file(text(fields.get("fileinfo.filename"))),
        http_request=_http_objects(fields).get("http_request"),
        http_response=_http_objects(fields).get("http_response"),
        query=query,
        src_endpoint=_end(fields, "src"),
        tls=_tls(fields),
    )
    verdict = {"blocked": _BLOCKED, "allowed": _ALLOWED}.get(text(fields.get("alert.action")), {})
    flow = text(fields.get("flow_id")) or text(fields.get("src_ip"))
    return {
        "evidences": [evidence],
        "finding_info": some(
            analytic=rule,
            attacks=_attacks(fields),
            first_seen_time=moment(fields.get("flow.start")),
            title=summary.operation,
            types=texts(fields.get("alert.category")),
            uid=f"{sid or summary.operation}/{flow}/{summary.time}",
        ),
        "is_alert": True,
        "message": summary.operation,
        **verdict,
    }


_BY_CLASS: Final = {
    DHCP_ACTIVITY: _dhcp,
    DNS_ACTIVITY: _dns,
    FTP_ACTIVITY: _ftp,
    HTTP_ACTIVITY: _http,
    NETWORK_ACTIVITY: _network,
    RDP_ACTIVITY: _rdp,
    SMB_ACTIVITY: _smb,
    SSH_ACTIVITY: _ssh,
}
