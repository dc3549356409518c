"""Indicators from a TAXII 2.1 collection into one STIX bundle, which grows and is replaced whole.

Source: OASIS, "TAXII Version 2.1", sections 3.4 (paging by ``next`` and ``more``), 3.6
(``X-TAXII-Date-Added-Last``) and 5.4 (get objects). The client library of the OASIS has not
been released since 2021, so the one request that is needed is made with httpx.

Each fetch asks for what was added since the last one. State lies beside the bundle in
``.<name>.state``. A bundle is written beside and renamed, so that whoever reads it sees the
old or the new one; when a fetch breaks off, the old one stays and the next fetch begins where
the last one that was whole ended.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import stamina
from pydantic import SecretStr

from sentinel.errors import SettingsError

MEDIA: Final = "application/taxii+json;version=2.1"
PAGE: Final = 1000
MAX_PAGES: Final = 20_000
MAX_ANSWER: Final = 64 << 20
"""Bytes of one answer."""
TIMEOUT_S: Final = 30.0
ATTEMPTS: Final = 5
_DENIED: Final = (401, 403)
_BUSY: Final = 429


class Fetched(NamedTuple):
    """What a fetch did: objects that came, indicators in the bundle now, requests made."""

    objects: int
    indicators: int
    requests: int


class Taxii:
    """One collection.

    Parameters
    ----------
    root
        URL of the API root, ``https://taxii.example.com/api1/``.
    collection
        Id of the collection.
    token
        ``user:password`` for basic authentication, else a bearer token; empty: none.
    """

    def __init__(self, root: str, collection: str, token: SecretStr) -> None:
        if not root.startswith(("https://", "http://")):
            raise SettingsError(f"expected the URL of a TAXII API root, found {root!r:.200}")
        self._url = f"{root.rstrip('/')}/collections/{collection}/objects/"
        secret = token.get_secret_value()
        user, colon, password = secret.partition(":")
        headers = {"Accept": MEDIA}
        if secret and not colon:
            headers["Authorization"] = f"Bearer {secret}"
        auth = httpx.BasicAuth(user, password) if colon else None
        self._client = httpx.Client(headers=headers, auth=auth, timeout=TIMEOUT_S)
        self._requests = 0
        #: When the newest object so far was added, by the server's clock.
        self.added_last = ""

    def fetch(self, path: Path) -> Fetched:
        """Bring the bundle at `path` up to date.

        Raises
        ------
        SettingsError
            The server cannot be reached, refuses, or answers with something else; the bundle
            is as it was.
        """
        state = path.with_name(f".{path.stem}.state")
        known = _bundle(path)
        after = state.read_text().strip() if state.is_file() and known else ""
        count = 0
        with self._client:
            for each in self._objects(after):
                count += 1
                uid = each.get("id")
                if each.get("type") == "indicator" and isinstance(uid, str):
                    old = known.get(uid)
                    if old is None or str(each.get("modified", "")) >= str(old.get("modified", "")):
                        known[uid] = each
        _replace(path, json.dumps({"type": "bundle", "objects": list(known.values())}))
        if self.added_last:
            _replace(state, self.added_last)
        return Fetched(count, len(known), self._requests)

    def _objects(self, after: str) -> Iterator[dict[str, Any]]:
        """Yield the objects that were added after a time, page by page."""
        asked = {"limit": str(PAGE), "match[type]": "indicator"}
        asked |= {"added_after": after} if after else {}
        for _ in range(MAX_PAGES):
            page = self._page(asked)
            objects = page.get("objects", [])
            if not isinstance(objects, list):
                raise SettingsError(f"expected a list of objects from {self._url}, found another")
            yield from (each for each in objects if isinstance(each, dict))
            if page.get("more") is not True or not page.get("next"):
                return
            asked["next"] = str(page["next"])
        raise SettingsError(f"expected at most {MAX_PAGES} pages from {self._url}, found more")

    def _page(self, asked: dict[str, str]) -> dict[str, Any]:
        """Ask once, again while the server is busy or unreachable."""
        try:
            for attempt in stamina.retry_context(
                on=_passing, attempts=ATTEMPTS, timeout=4 * TIMEOUT_S, wait_initial=0.2
            ):
                with attempt:
                    return self._ask(asked)
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            hint = (
                "check SENTINEL_INTEL_TOKEN" if status in _DENIED else "is it an API root of 2.1?"
            )
            raise SettingsError(
                f"expected a collection at {self._url}, found HTTP {status}; {hint}"
            ) from error
        except (httpx.HTTPError, ValueError) as error:
            raise SettingsError(f"expected an answer from {self._url}, found: {error}") from error
        raise AssertionError("retrying ends by an answer or an error")

    def _ask(self, asked: dict[str, str]) -> dict[str, Any]:
        self._requests += 1
        body = bytearray()
        with self._client.stream("GET", self._url, params=asked) as answer:
            answer.raise_for_status()
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER:
                    raise ValueError(f"more than {MAX_ANSWER} bytes")
            added = answer.headers.get("X-TAXII-Date-Added-Last", "")
        page = json.loads(body) if body.strip() else {}
        if not isinstance(page, dict):
            raise ValueError("JSON that is no envelope")  # the server's fault
        self.added_last = max(self.added_last, added)
        return page


def _passing(error: Exception) -> bool:
    """Say whether asking again may help."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code == _BUSY or error.response.status_code >= 500
    return isinstance(error, httpx.TransportError)


def _bundle(path: Path) -> dict[str, dict[str, Any]]:
    """Return the indicators that are there, by id."""
    if not path.is_file():
        return {}
    try:
        objects = json.loads(path.read_bytes())["objects"]
        return {each["id"]: each for each in objects}
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"expected the bundle of an earlier fetch at {path}, found something else: {error}; "
            "move it away"
        ) from error


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    fresh = path.with_name(f".{path.name}.new")
    with fresh.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
