"""Slack: what it gets, and what its answers mean."""

from __future__ import annotations

from sentinel.testing.server import Response, failed, throttled


async def test_a_message_has_a_header_and_no_mention_of_anyone(adapter, server, item, message):
    server.route("POST", "/services/T", lambda _: Response(200, b"ok"))
    slack = adapter("slack", {"url": f"{server.url}/services/T"})
    assert not (await slack.send(message(item(title="<!channel> & co")))).error
    (request,) = server.requests
    header, section = request.json()["blocks"]
    assert header["text"]["text"] == "[critical] <!channel> & co"
    assert section["text"]["text"].startswith("&lt;!channel&gt; &amp; co\n\nSeverity: critical")
    assert request.json()["text"] == "[critical] &lt;!channel&gt; &amp; co"


async def test_a_template_and_a_digest(adapter, server, item, message):
    server.route("POST", "/services/T", lambda _: Response(200, b"ok"))
    slack = adapter(
        "slack", {"url": f"{server.url}/services/T"}, template="${title} (${explanation.matched.x})"
    )
    items = [item(title=f"t{n}", explanation={"matched": {"x": n}}) for n in range(25)]
    await slack.send(message(*items))
    header, section = server.requests[0].json()["blocks"]
    assert header["text"]["text"] == "25 alerts"
    assert section["text"]["text"].startswith("t0 (0)\n\nt1 (1)")
    assert section["text"]["text"].endswith("and 5 more")


async def test_answers(adapter, server, message):
    slack = adapter("slack", {"url": f"{server.url}/services/T"})
    server.script("/services/T", throttled(30), failed(400), failed(410), failed(500))
    found = [await slack.send(message()) for _ in range(4)]
    assert found[0].retry_after_s == 30
    assert [each.permanent for each in found] == [False, True, False, False]
    assert [each.gone for each in found] == [False, False, True, False]
