"""Doubles of Google's login, Cloud Logging, Pub/Sub and Security Command Center.

Sources: Google, "Using OAuth 2.0 for server to server applications", "Method: entries.list",
"projects.subscriptions.pull", "organizations.sources.locations.findings.list".
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sentinel.testing.server import Request, Response, ScriptedServer, Tokens, paged, reply

_BOUND: Final = re.compile(r'(?:timestamp|event_time) (>=|<) "([^"]+)"')
_KEY_BITS: Final = 2048


def refused(status: int, name: str, message: str) -> Response:
    """Return the error that Google's APIs answer with."""
    return reply({"error": {"code": status, "message": message, "status": name}}, status)


class GoogleLogin:
    """Where tokens come from: takes what a service account's key has signed.

    Attributes
    ----------
    tokens
        Every token it gave.
    """

    def __init__(self, server: ScriptedServer, tokens: Tokens | None = None) -> None:
        self._server = server
        self.tokens = tokens or Tokens()
        server.route("POST", "/token", self._token)

    def _token(self, request: Request) -> Response:
        if "assertion" not in request.form():
            return reply({"error": "invalid_grant"}, 400)
        return reply(
            {"access_token": self.tokens.issue(), "expires_in": 3600, "token_type": "Bearer"}
        )

    def key_file(self, folder: Path) -> str:
        """Write a service account's key whose tokens come from here; return its path."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa

        key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        path = folder / "key.json"
        path.write_text(
            json.dumps(
                {
                    "type": "service_account",
                    "project_id": "shop-1",
                    "private_key_id": "1",
                    "private_key": pem.decode(),
                    "client_email": "reader@shop-1.iam.gserviceaccount.com",
                    "client_id": "1",
                    "token_uri": f"{self._server.url}/token",
                }
            )
        )
        return str(path)


class LoggingDouble:
    """Cloud Logging: entries by time, in pages.

    Attributes
    ----------
    entries
        What there is; tests add to it.
    reverse
        Whether pages come in the wrong order.
    """

    def __init__(self, server: ScriptedServer, tokens: Tokens, size: int = 3) -> None:
        self._tokens, self._size = tokens, size
        self.entries: list[dict[str, Any]] = []
        self.reverse = False
        server.route("POST", "/v2/entries:list", self._list)

    def _list(self, request: Request) -> Response:
        if not self._tokens.good(request.bearer()):
            return refused(
                401, "UNAUTHENTICATED", "Request had invalid authentication credentials."
            )
        asked = request.json()
        found = [e for e in self.entries if _within(e["timestamp"], asked["filter"])]
        found.sort(key=lambda entry: str(entry["timestamp"]), reverse=self.reverse)
        size = min(self._size, asked["pageSize"])
        items, token = paged(found, asked.get("pageToken", ""), size)
        return reply({"entries": list(items), **({"nextPageToken": token} if token else {})})


class PubSubDouble:
    """One subscription: gives messages again until they are acknowledged.

    Attributes
    ----------
    waiting
        Messages by id that were not acknowledged.
    """

    def __init__(self, server: ScriptedServer, tokens: Tokens, name: str, size: int = 3) -> None:
        self._tokens, self._name, self._size = tokens, name, size
        self.waiting: dict[str, bytes] = {}
        self._server = server
        server.route("GET", f"/v1/{name}", self._describe)
        server.route("POST", f"/v1/{name}:pull", self._pull)
        server.route("POST", f"/v1/{name}:acknowledge", self._acknowledge)

    def _wrong(self, request: Request) -> Response | None:
        if self._tokens.good(request.bearer()):
            return None
        return refused(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")

    def _describe(self, request: Request) -> Response:
        topic = "projects/shop-1/topics/audit"
        return self._wrong(request) or reply({"name": self._name, "topic": topic})

    def _pull(self, request: Request) -> Response:
        if wrong := self._wrong(request):
            return wrong
        with self._server.lock:
            chosen = list(self.waiting.items())[: self._size]
        return reply(
            {
                "receivedMessages": [
                    {
                        "ackId": f"ack-{uid}",
                        "message": {"data": base64.b64encode(data).decode(), "messageId": uid},
                    }
                    for uid, data in chosen
                ]
            }
        )

    def _acknowledge(self, request: Request) -> Response:
        if wrong := self._wrong(request):
            return wrong
        with self._server.lock:
            for name in request.json()["ackIds"]:
                self.waiting.pop(name.removeprefix("ack-"), None)
        return reply({})


class FindingsDouble:
    """Security Command Center: findings by time of change, in pages."""

    def __init__(
        self, server: ScriptedServer, tokens: Tokens, results: Sequence[dict[str, Any]]
    ) -> None:
        self._tokens, self._results = tokens, results
        server.route("GET", "/v2/.+/findings", self._list)

    def _list(self, request: Request) -> Response:
        if not self._tokens.good(request.bearer()):
            return refused(
                401, "UNAUTHENTICATED", "Request had invalid authentication credentials."
            )
        asked = request.param("filter")
        found = [r for r in self._results if _within(r["finding"]["eventTime"], asked)]
        items, token = paged(found, request.param("pageToken"), 2)
        return reply({"listFindingsResults": list(items), "nextPageToken": token})


def _within(text: str, condition: str) -> bool:
    when = datetime.fromisoformat(text)
    for operator, bound in _BOUND.findall(condition):
        limit = datetime.fromisoformat(bound)
        if (operator == ">=" and when < limit) or (operator == "<" and when >= limit):
            return False
    return True
