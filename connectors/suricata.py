"""Suricata: what its sensors alerted on, and the protocols that they followed (EVE JSON).

Takes ``eve.json``, a line an event, from a file, a socket, Kafka or HTTP. An event needs
``event_type`` and ``timestamp``. EVE has no ids: an event gets its id from where it was read.

``stats`` events are counters of the sensor and no events of a network: they are refused as
``statistics``. Leave them out of the ``eve-log`` output that comes here.

Public rules of the categories dns, proxy and webserver are asked of ``dns`` and ``http``.

Source: Suricata User Guide, "EVE JSON format".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

from connectors._json.connector import JsonConnector
from connectors._json.decoder import JsonDecoder, View
from connectors._json.fields import Fields
from connectors._json.objects import text
from connectors._json.times import milliseconds
from connectors._suricata import ocsf_map
from connectors._suricata.classes import CLASSES, classify, status
from connectors.base import OCSF, LogSource, Summary
from schemas.ocsf import DETECTION_FINDING
from sentinel.errors import MappingError

_SEVERITY: Final = {"1": 4, "2": 3, "3": 2, "4": 1}  # Suricata's 1 is its highest
_INFORMATIONAL, _LOW, _NEW = 1, 2, 1
_STATS: Final = "stats"
#: What tells the activity of a protocol, and how it ended.
_TOLD: Final = {
    "dhcp": "dhcp.dhcp_type",
    "dns": "dns.type",
    "ftp": "ftp.command",
    "ftp_data": "ftp_data.command",
    "http": "http.http_method",
    "http2": "http.http_method",
    "rdp": "rdp.event_type",
    "smb": "smb.command",
}
_ENDED: Final = {"dns": "dns.rcode", "http": "http.status", "http2": "http.status"} | {
    "smb": "smb.status"
}
_CATEGORIES: Final = {"dns": "dns", "http": "proxy", "http2": "proxy"}
#: Fields of Sigma's categories. Rules of webserver ask of the same events as those of proxy.
_TAXONOMY: Final[dict[str, tuple[str, ...]]] = {
    "answer": ("dns.answers.rdata",),
    "c-ip": ("src_ip",),
    "c-uri": ("http.url",),
    "c-useragent": ("http.http_user_agent",),
    "cs-host": ("http.hostname",),
    "cs-method": ("http.http_method",),
    "cs-referer": ("http.http_refer",),
    "cs-uri": ("http.url",),
    "cs-user-agent": ("http.http_user_agent",),
    "cs-version": ("http.protocol",),
    "dst_ip": ("dest_ip",),
    "dst_port": ("dest_port",),
    "query": ("dns.rrname", "dns.queries.rrname"),
    "r-dns": ("http.hostname",),
    "record_type": ("dns.rrtype", "dns.queries.rrtype"),
    "sc-status": ("http.status",),
    "src_port": ("src_port",),
}
_URL: Final = "http.url"
_QUERIES: Final = frozenset({"c-uri-query", "cs-uri-query"})
_STEMS: Final = frozenset({"c-uri-stem", "cs-uri-stem"})


class Suricata(JsonConnector):
    """EVE events of Suricata, one JSON object each."""

    logsources: ClassVar[tuple[LogSource, ...]] = (
        LogSource(product="suricata", service="suricata"),
        LogSource(product="suricata", category="dns", service="suricata"),
        LogSource(product="suricata", category="proxy", service="suricata"),
        LogSource(product="suricata", category="webserver", service="suricata"),
    )
    destinations: ClassVar[tuple[str, ...]] = ("dest_ip",)
    product: ClassVar[Mapping[str, Any]] = {"name": "Suricata", "vendor_name": "OISF"}
    times: ClassVar[tuple[str, ...]] = ("timestamp",)
    reads: ClassVar[frozenset[str]] = frozenset(
        {"alert.severity", "alert.signature", "dest_ip", "event_type", "host", "in_iface"}
        | {"src_ip", "timestamp", "http.http_user_agent", "http.hostname", "dns.rrname"}
        | {"tls.sni", *_TOLD.values(), *_ENDED.values()}
    )

    def spellings(self, field: str) -> Sequence[str]:
        """Return where a field of one of Sigma's categories is."""
        category, _, name = field.partition(".")
        return _TAXONOMY.get(name, ()) if category in ("dns", "proxy", "webserver") else ()

    def decoder(self, fields: frozenset[str]) -> JsonDecoder:
        """Return a decoder that can take an address apart as Sigma's categories want it."""
        made = super().decoder(fields | {_URL})
        address = made.plain(_URL)
        for field in fields:
            name = field.partition(".")[2]
            if name in _QUERIES:
                made.compute(field, _part(address, 2))
            elif name in _STEMS:
                made.compute(field, _part(address, 0))
            elif name == "c-uri-extension":
                made.compute(field, _extension(address))
        return made

    def category(self, event: View) -> str | list[str]:
        """Return what the protocol is to Sigma: HTTP is seen by proxies and by servers."""
        found = _CATEGORIES.get(event.text("event_type"), "")
        return ["proxy", "webserver"] if found == "proxy" else found

    def columns_of(self, event: View) -> Summary:
        """Return the columns; who acted is the address that the packet came from."""
        kind = event.text("event_type")
        if not kind:
            raise MappingError("missing_field", "expected the text event_type of an EVE event")
        if kind == _STATS:
            raise MappingError(
                "statistics",
                "expected an event of a network, found counters of the sensor (event_type stats): "
                "take stats out of the types of this eve-log output",
            )
        told = event.text(_TOLD[kind]) if kind in _TOLD else ""
        class_uid, activity_id = classify(kind, told)
        finding = class_uid == DETECTION_FINDING
        signature = event.text("alert.signature")
        source = event.text("src_ip")
        level = _SEVERITY.get(event.text("alert.severity"), 0) if finding else _severity(kind)
        ended = event.get(_ENDED[kind]) if kind in _ENDED else None
        return Summary(
            native_id=None,
            time=milliseconds(event.get("timestamp"), "timestamp"),
            class_uid=class_uid,
            activity_id=activity_id,
            status_id=_NEW if finding else status(class_uid, ended),
            severity_id=level,
            entity=source,
            operation=signature or "alert" if finding else _operation(event, kind, told),
            service=kind,
            src_ip=source,
            user_agent=event.text("http.http_user_agent"),
            region=event.text("host", "in_iface"),
        )

    def objects(self, fields: Fields, summary: Summary) -> OCSF:
        """Return the objects of the event's class; see `connectors._suricata.ocsf_map`."""
        return ocsf_map.objects(fields, summary)


def _severity(kind: str) -> int:
    return _LOW if kind in ("anomaly", "drop") else _INFORMATIONAL


def _operation(event: View, kind: str, told: str) -> str:
    """Return what was done, for people: method and host, or the name that was asked for."""
    about = event.text("http.hostname", "dns.rrname", "tls.sni", "dest_ip")
    return " ".join(filter(None, (told or (kind if kind not in CLASSES else ""), about))) or kind


def _part(address: Callable[[Any], Any], index: int) -> Callable[[Any], Any]:
    """Return the part of an address before (0) or after (2) its question mark."""
    return lambda event: text(address(event)).partition("?")[index] or None


def _extension(address: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def find(event: Any) -> Any:
        name = text(address(event)).partition("?")[0].rpartition("/")[2]
        return name.rpartition(".")[2] if "." in name else None

    return find
