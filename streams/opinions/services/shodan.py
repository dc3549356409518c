"""Shodan: which ports and known vulnerabilities an address shows to the Internet.

Source: Shodan REST API reference, ``/shodan/host/{ip}`` (one request a second; 404 where
nothing is known); the key goes into the query, there is no other way.
"""

from __future__ import annotations

from typing import Any, Final

from streams.opinions.services.base import IP, Opinion, Request, Service

MOST: Final = 8
"""Ports, tags and vulnerabilities that are named; the rest is counted."""


class ShodanAdapter(Service):
    """One host; ``minify`` leaves the banners out, and there are no pages."""

    title = "Shodan"
    url = "https://api.shodan.io"
    kinds = frozenset({IP})
    per_minute = 60
    per_day = 1000

    def request(self, kind: str, value: str, key: str) -> Request:
        """Ask for a host."""
        return Request(f"/shodan/host/{value}", {"key": key, "minify": "true"})

    def read(self, kind: str, value: str, answer: Any) -> Opinion:
        """Read ports, tags and vulnerabilities; Shodan does not say who is bad."""
        if not isinstance(answer, dict) or not isinstance(answer.get("ports"), list):
            raise ValueError("expected a list 'ports' in the answer, found none")
        parts = [f"ports {_named(answer['ports'])}" if answer["ports"] else "no open ports"]
        for name, text in (("tags", "tagged"), ("vulns", "vulnerable to")):
            found = answer.get(name)
            if isinstance(found, list | dict) and found:
                parts.append(f"{text} {_named(sorted(map(str, found)))}")
        return Opinion("; ".join(parts), None, f"https://www.shodan.io/host/{value}")


def _named(values: list[Any]) -> str:
    more = f" and {len(values) - MOST} more" if len(values) > MOST else ""
    return ", ".join(str(value)[:40] for value in values[:MOST]) + more
