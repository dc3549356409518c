"""VirusTotal: how many engines call an address, a domain or a file malicious.

Source: VirusTotal API v3 reference: "Get an IP address report", "Get a domain report", "Get a
file report", "Public vs Premium API" (4 requests a minute, 500 a day), "Errors".
"""

from __future__ import annotations

from typing import Any, Final

from streams.opinions.services.base import DOMAIN, HASH, IP, Opinion, Request, Service, count, part

_PATHS: Final = {IP: "ip_addresses", DOMAIN: "domains", HASH: "files"}
_PAGES: Final = {IP: "ip-address", DOMAIN: "domain", HASH: "file"}
#: Categories of ``last_analysis_stats`` in which an engine said something about the value.
_JUDGED: Final = ("harmless", "malicious", "suspicious", "undetected")


class VirusTotalAdapter(Service):
    """One object's report; reports have no pages."""

    title = "VirusTotal"
    url = "https://www.virustotal.com"
    kinds = frozenset({IP, DOMAIN, HASH})
    per_minute = 4
    per_day = 500

    def request(self, kind: str, value: str, key: str) -> Request:
        """Ask for the report of an object."""
        return Request(f"/api/v3/{_PATHS[kind]}/{value}", headers={"x-apikey": key})

    def read(self, kind: str, value: str, answer: Any) -> Opinion:
        """Read how many engines found something."""
        stats = part(part(part(answer, "data"), "attributes"), "last_analysis_stats")
        bad = count(stats, "malicious")
        total = sum(count(stats, name) for name in _JUDGED)
        doubtful = count(stats, "suspicious")
        more = f", {doubtful} more suspicious" if doubtful else ""
        link = f"https://www.virustotal.com/gui/{_PAGES[kind]}/{value}"
        return Opinion(f"{bad} of {total} engines{more}", bad > 0, link)
