"""A double of Google's token endpoint and of the Reports API of Google Workspace.

Source: Google, "Using OAuth 2.0 for server to server applications"; Google Workspace Admin SDK,
"Reports API: activities.list".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sentinel.testing.server import Request, Response, ScriptedServer, Tokens, paged, reply


def key_file(path: Path, server: ScriptedServer) -> Path:
    """Write the key of a service account that asks `server` for its tokens."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    private = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    key = {
        "type": "service_account",
        "project_id": "example",
        "private_key_id": "1",
        "private_key": private.decode(),
        "client_email": "reader@example.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": f"{server.url}/token",
    }
    path.write_text(json.dumps(key))
    return path


class WorkspaceDouble:
    """The activities of one domain.

    Parameters
    ----------
    size
        Activities a page, whatever was asked for.

    Attributes
    ----------
    activities
        What there is, in the order it is given; tests add to it and turn it round.
    delegated
        Whether the scope was delegated to the service account.
    """

    def __init__(
        self,
        server: ScriptedServer,
        tokens: Tokens,
        activities: Sequence[dict[str, Any]],
        size: int,
    ) -> None:
        self._tokens, self._size = tokens, size
        self.activities = list(activities)
        self.delegated = True
        server.route("POST", "/token", self._token)
        server.route("GET", "/admin/reports/v1/activity/users/all/applications/.+", self._list)

    def _token(self, request: Request) -> Response:
        if not self.delegated or "assertion" not in request.form():
            problem = {
                "error": "unauthorized_client",
                "error_description": "Client is unauthorized to retrieve access tokens using this "
                "method, or client not authorized for any of the scopes requested.",
            }
            return reply(problem, 401)
        token = self._tokens.issue()
        return reply({"access_token": token, "expires_in": 3600, "token_type": "Bearer"})

    def _list(self, request: Request) -> Response:
        if not self._tokens.good(request.bearer()):
            return reply({"error": {"code": 401, "message": "Invalid Credentials"}}, 401)
        application = request.path.rpartition("/")[2]
        start, end = (datetime.fromisoformat(request.param(f"{n}Time")) for n in ("start", "end"))
        found = [
            each
            for each in self.activities
            if each["id"]["applicationName"] == application
            and start <= datetime.fromisoformat(each["id"]["time"]) <= end
        ]
        size = min(self._size, int(request.param("maxResults", "1000")))
        items, token = paged(found, request.param("pageToken"), size)
        body: dict[str, Any] = {"kind": "admin#reports#activities"}
        if items:
            body["items"] = list(items)
        return reply(body | ({"nextPageToken": token} if token else {}))
