"""Doubles of services that are asked about addresses and hashes: VirusTotal, AbuseIPDB, Shodan.

Sources: VirusTotal API v3 reference ("Get an IP address report", "Errors"), AbuseIPDB APIv2
documentation ("CHECK Endpoint", "API Daily Rate Limits"), Shodan REST API reference
(``/shodan/host/{ip}``). All values are invented.
"""

from __future__ import annotations

import secrets
from typing import Any

from sentinel.testing.server import Request, Response, ScriptedServer, reply


class ReputationDouble:
    """All three on one server, each below a path of its own (`url`).

    Attributes
    ----------
    key
        The one key that is good.
    known
        What is known: by value, the engines that call it malicious.
    left
        Requests until the quota is used up; None: no quota.
    """

    def __init__(self, server: ScriptedServer, known: dict[str, int]) -> None:
        self._server = server
        self.key = secrets.token_hex(16)
        self.known = known
        self.left: int | None = None
        kinds = "(ip_addresses|domains|files)"
        server.route("GET", rf"/virustotal/api/v3/{kinds}/[^/]+", self._virustotal)
        server.route("GET", "/abuseipdb/api/v2/check", self._abuseipdb)
        server.route("GET", "/shodan/shodan/host/[^/]+", self._shodan)

    def url(self, service: str) -> str:
        """Return what to set as the service's URL."""
        return f"{self._server.url}/{service}"

    def _spent(self) -> bool:
        with self._server.lock:
            if self.left is None:
                return False
            self.left -= 1
            return self.left < 0

    def _virustotal(self, request: Request) -> Response:
        if request.headers.get("x-apikey") != self.key:
            return _virustotal_error("WrongCredentialsError", "Wrong API key", 401)
        if self._spent():
            return _virustotal_error("QuotaExceededError", "Quota exceeded", 429)
        value = request.path.rpartition("/")[2]
        if value not in self.known:
            return _virustotal_error("NotFoundError", f'"{value}" not found', 404)
        bad = self.known[value]
        stats = {"malicious": bad, "suspicious": 0, "undetected": 30, "timeout": 1}
        stats["harmless"] = 60 - bad
        attributes: dict[str, Any] = {"last_analysis_stats": stats, "reputation": -bad}
        # A real report names every engine: it is some tens of kilobytes.
        attributes["last_analysis_results"] = {
            f"Engine {number}": {"category": "harmless", "result": "clean", "method": "x" * 900}
            for number in range(90)
        }
        return reply({"data": {"id": value, "type": "ip_address", "attributes": attributes}})

    def _abuseipdb(self, request: Request) -> Response:
        if request.headers.get("key") != self.key:
            return reply({"errors": [{"detail": "Authentication failed.", "status": 401}]}, 401)
        if self._spent():
            detail = "Daily rate limit of 1000 requests exceeded for this endpoint."
            body = {"errors": [{"detail": detail, "status": 429}]}
            return reply(body, 429, Retry_After="3600", X_RateLimit_Remaining="0")
        value = request.param("ipAddress")
        bad = self.known.get(value, 0)
        data = {
            "ipAddress": value,
            "isPublic": True,
            "ipVersion": 4,
            "isWhitelisted": None,
            "abuseConfidenceScore": min(100, 5 * bad),
            "usageType": "Data Center/Web Hosting/Transit",
            "totalReports": bad,
            "numDistinctUsers": bad,
            "lastReportedAt": "2026-01-31T12:00:00+00:00" if bad else None,
        }
        return reply({"data": data})

    def _shodan(self, request: Request) -> Response:
        if request.param("key") != self.key:
            return Response(401, b"<html>Unauthorized</html>", {"Content-Type": "text/html"})
        if self._spent():
            return reply({"error": "Request rate limit reached (1/ second)"}, 429)
        value = request.path.rpartition("/")[2]
        if value not in self.known:
            return reply({"error": "No information available for that IP."}, 404)
        found = {"ip_str": value, "ports": [22, 4444], "tags": ["vpn"], "vulns": ["CVE-2021-44228"]}
        return reply(found | {"org": "Example", "asn": "AS64496", "data": []})


def _virustotal_error(code: str, message: str, status: int) -> Response:
    return reply({"error": {"code": code, "message": message}}, status)
