"""The page of the API's documentation needs nothing but the API itself."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest


class References(HTMLParser):
    """Collects what a page loads; fails on scripts and styles within it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert tag != "style"
        assert tag != "script" or given["src"], "the policy allows no script within the page"
        assert not [name for name in given if name == "style" or name.startswith("on")]
        self.found += [value for name in ("src", "href") if (value := given.get(name))]


@pytest.fixture
async def stranger(connect: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with connect("") as found:
        yield found


async def test_the_page_and_all_it_loads_come_from_the_api(stranger: httpx.AsyncClient) -> None:
    page = await stranger.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    references = References()
    references.feed(page.text)
    loaded = [name for name in references.found if not name.startswith("data:")]
    assert len(loaded) == 3
    for name in loaded:
        url = urljoin("http://api/docs", name)
        assert url.startswith("http://api/"), name
        answer = await stranger.get(url)
        assert answer.status_code == 200, name
        kind = "text/css" if name.endswith(".css") else "text/javascript"
        assert answer.headers["content-type"].startswith(kind)
        assert answer.headers["x-content-type-options"] == "nosniff"
        if name.endswith(".css"):  # what a style sheet loads is in it
            found = re.findall(r"url\(\s*[\"']?([^\"')]{0,60})", answer.text)
            assert all(target.startswith("data:") for target in found), found
    start = (await stranger.get("/docs/start.js")).text
    (url,) = re.findall(r'url: "(.+)"', start)
    assert (await stranger.get(urljoin("http://api/docs", url))).json()["openapi"]


async def test_the_policy_allows_the_api_alone(stranger: httpx.AsyncClient) -> None:
    policy = (await stranger.get("/docs")).headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy


async def test_nothing_else_of_the_package_is_served(stranger: httpx.AsyncClient) -> None:
    for name in ("redoc.standalone.js", "../core.py", "..%2fcore.py", "oauth2-redirect"):
        assert (await stranger.get(f"/docs/{name}")).status_code == 401
