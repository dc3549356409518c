"""Teams: an Adaptive Card without anybody's Markdown."""

from __future__ import annotations

from sentinel.testing.server import Response


async def test_a_message_is_a_card(adapter, server, item, message):
    server.route("POST", "/workflows/1", lambda _: Response(202))
    teams = adapter("teams", {"url": f"{server.url}/workflows/1"})
    assert not (await teams.send(message(item(title="[a](b)")))).error
    (attachment,) = server.requests[0].json()["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert card["body"][0]["text"] == "\\[critical\\] \\[a\\](b)"
    assert card["body"][0]["color"] == "Attention"
    assert any("Entity: root" in block["text"] for block in card["body"])
