"""Jira: an issue an alert, found again by its label; resolved on either side.

Reference: Jira REST API, the resources issue, comment and transitions in version 2, which
Cloud and Data Center share, and the search of Cloud (POST /rest/api/3/search/jql), else that
of Data Center (/rest/api/2/search).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

import orjson

from sentinel.subscribers.kinds import Jira
from streams.deliveries.adapters.base import Item, Message, Outcome, PerAlert, outcome
from streams.deliveries.http import Reply

SEARCHES: Final = ("/rest/api/3/search/jql", "/rest/api/2/search")
ABSENT: Final = frozenset({404, 405, 410})
REFUSED: Final = (400,)
PRIVATE: Final = "Resolved in Sentinel."


class JiraAdapter(PerAlert[Jira]):
    """Creates an issue, comments on it, moves it to its end."""

    async def tell(self, message: Message, item: Item) -> Outcome:
        """Create the issue of an alert, or bring it up to date."""
        label = f"sentinel-{item.data['id']}"
        key = message.reference
        if not key:  # made before, and the answer lost: the label tells
            key, reply = await self._find(label)
            if not reply.ok:
                return outcome(reply)
        if not key:
            return Outcome() if item.resolved else await self._create(message, item, label)
        if item.resolved:
            return await self._resolve(key)
        text = self.text(message._replace(items=[item]))
        reply = await self._call("POST", f"/rest/api/2/issue/{quote(key)}/comment", {"body": text})
        return self._made(reply, key)

    async def _find(self, label: str) -> tuple[str, Reply]:
        """Return the key of the issue with a label, empty where there is none."""
        query = {
            "jql": f'project = "{self.channel.project}" AND labels = "{label}"',
            "fields": ["status"],
            "maxResults": 1,
        }
        reply = await self._call("POST", SEARCHES[0], query)
        if reply.status in ABSENT:
            reply = await self._call("POST", SEARCHES[1], query)
        issues = json(reply).get("issues") or []
        return (str(issues[0]["key"]) if issues else "", reply)

    async def _create(self, message: Message, item: Item, label: str) -> Outcome:
        one = message._replace(items=[item])
        fields = {
            "project": {"key": self.channel.project},
            "issuetype": {"name": self.channel.issue_type},
            "summary": self.subject(one)[:254],
            "description": self.text(one)[:30_000],
            "labels": ["sentinel", label],
        }
        reply = await self._call("POST", "/rest/api/2/issue", {"fields": fields})
        return self._made(reply, str(json(reply).get("key", "")))

    def _made(self, reply: Reply, key: str) -> Outcome:
        found = outcome(reply, REFUSED)
        if found.error:
            return found
        return found._replace(reference=key, url=f"{self.channel.url.rstrip('/')}/browse/{key}")

    async def _resolve(self, key: str) -> Outcome:
        """Move an issue to its end, unless it is there."""
        path = f"/rest/api/2/issue/{quote(key)}"
        if key in await self.closed([key]):
            return Outcome(200)
        reply = await self._call("GET", f"{path}/transitions")
        found = json(reply).get("transitions") or []
        wanted = [t for t in found if t["name"].lower() == self.channel.done.lower()]
        wanted += [t for t in found if _done(t.get("to"))]
        if not reply.ok:
            return outcome(reply)
        if not wanted:
            names = ", ".join(t["name"] for t in found)
            return Outcome(
                reply.status,
                f"expected a transition {self.channel.done!r} of {key}, found {names or 'none'}",
            )
        await self._call("POST", f"{path}/comment", {"body": PRIVATE})
        move = {"transition": {"id": wanted[0]["id"]}}
        return outcome(await self._call("POST", f"{path}/transitions", move))

    async def closed(self, references: Sequence[str]) -> set[str]:
        """Return the issues whose status is of the category done, or that are gone."""
        found = set()
        for key in references:
            reply = await self._call("GET", f"/rest/api/2/issue/{quote(key)}?fields=status")
            if _done(json(reply).get("fields", {}).get("status")):
                found.add(key)
        return found

    async def _call(self, method: str, path: str, value: Any = None) -> Reply:
        auth = (self.channel.user, self.channel.token.get_secret_value())
        body = b"" if value is None else orjson.dumps(value)
        return await self.ask(method, self.channel.url.rstrip("/") + path, body, auth=auth)


def _done(status: Any) -> bool:
    """Say whether a status, as Jira describes it, is an end."""
    category = status.get("statusCategory") if isinstance(status, dict) else None
    return isinstance(category, dict) and category.get("key") == "done"


def json(reply: Reply) -> dict[str, Any]:
    """Return the object that an answer holds, an empty one where it holds none."""
    try:
        value = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
