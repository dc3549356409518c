"""What every request meets first: ids, sizes, limits, other origins, TLS."""

from __future__ import annotations

import io
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from api.app import create
from api.auth import HSTS, MAX_BODY
from sentinel import log
from sentinel.cli.api import tls_options
from sentinel.errors import SettingsError
from sentinel.settings import Settings


@asynccontextmanager
async def served(settings: Settings, **client: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = create(settings)
    base = client.pop("base_url", "http://api")
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, **client)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url=base) as found,
    ):
        yield found


async def test_every_answer_has_an_id_of_its_request(client, stranger) -> None:
    given = {"X-Request-ID": "trace-4711"}
    for asking, path in ((client, "/v1/alerts"), (stranger, "/v1/alerts"), (client, "/v1/none")):
        answer = await asking.get(path, headers=given)
        assert answer.headers["x-request-id"] == "trace-4711"
    for bad in ("", "a b", "x" * 65, "<script>"):
        answer = await client.get("/health", headers={"X-Request-ID": bad})
        assert answer.headers["x-request-id"] not in {"", bad}
    found = {(await client.get("/health")).headers["x-request-id"] for _ in range(3)}
    assert len(found) == 3


async def test_the_id_is_in_the_log(client, app) -> None:
    out = io.StringIO()

    @app.get("/v1/told")
    async def told() -> None:
        log.get("test").info("told")

    log.configure(stream=out)
    try:
        await client.get("/v1/told", headers={"X-Request-ID": "trace-4712"})
    finally:
        log.configure()
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["request"] for line in lines if line["event"] == "told"] == ["trace-4712"]


async def test_large_bodies_are_refused_before_they_are_read(client) -> None:
    large = b'{"refresh_token": "' + b"x" * MAX_BODY + b'"}'

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(large), 65_536):
            yield large[start : start + 65_536]

    for body in (large, pieces()):
        answer = await client.post("/v1/auth/refresh", content=body)
        assert answer.status_code == 413, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
    path = "/v1/users?limit=1001"
    assert (await client.get(path)).status_code == 422


async def test_strangers_are_limited_by_address_and_health_is_not(api_settings) -> None:
    few = api_settings.model_copy(update={"api_address_per_min": 3})
    async with served(few) as client:
        found = [(await client.get("/v1/alerts")).status_code for _ in range(5)]
        assert found == [401, 401, 401, 429, 429]
        wrong = {"Authorization": "Bearer snk_000000000000_" + "x" * 43}
        assert (await client.get("/v1/alerts", headers=wrong)).status_code == 429
        assert (await client.get("/health")).status_code == 200
        token = (api_settings.home / "api-token").read_text().strip()
        right = {"Authorization": f"Bearer {token}"}
        assert (await client.get("/v1/alerts", headers=right)).status_code == 200
    async with served(few, client=("192.0.2.77", 1)) as other:
        assert (await other.get("/v1/alerts")).status_code == 401


async def test_users_and_tenants_are_limited(api_settings, home, tenant) -> None:
    token = (home / "tenant-tokens").read_text().split()[1]
    headers = {"Authorization": f"Bearer {token}"}
    for name in ("api_user_per_min", "api_tenant_per_min"):
        async with served(api_settings.model_copy(update={name: 2})) as client:
            found = [await client.get("/v1/alerts", headers=headers) for _ in range(3)]
            assert [answer.status_code for answer in found] == [200, 200, 429]
            assert int(found[-1].headers["retry-after"]) > 0


async def test_scripts_of_named_sites_only(api_settings) -> None:
    preflight = {
        "Origin": "https://soc.example",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "Authorization",
    }
    async with served(api_settings) as client:
        answer = await client.options("/v1/alerts", headers=preflight)
        assert "access-control-allow-origin" not in answer.headers
    named = api_settings.model_copy(update={"api_origins": "https://soc.example"})
    async with served(named) as client:
        answer = await client.options("/v1/alerts", headers=preflight)
        assert answer.headers["access-control-allow-origin"] == "https://soc.example"
        assert "access-control-allow-credentials" not in answer.headers
        other = preflight | {"Origin": "https://evil.example"}
        answer = await client.options("/v1/alerts", headers=other)
        assert "access-control-allow-origin" not in answer.headers


async def test_no_answer_sets_a_cookie_but_single_sign_on(app, people, stranger, tenant) -> None:
    """So a request that another site forges (CSRF) carries nothing that it could use."""
    ada = await people.add(tenant)
    answers = [
        await stranger.post("/v1/auth/login", json=ada.proof),
        await stranger.get("/v1/account", headers=ada.headers),
        await stranger.post("/v1/auth/refresh", json={"refresh_token": ada.refresh}),
    ]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert not any("set-cookie" in answer.headers for answer in answers)
    token = ada.access
    for name in ("access_token", "token", "session", "Authorization"):
        stranger.cookies.set(name, token)
    assert (await stranger.get("/v1/account")).status_code == 401
    assert (await stranger.get(f"/v1/account?access_token={token}")).status_code == 401


async def test_tls_is_told_to_browsers(api_settings) -> None:
    async with served(api_settings, base_url="https://api") as client:
        assert (await client.get("/health")).headers["strict-transport-security"] == HSTS
    async with served(api_settings) as client:
        assert "strict-transport-security" not in (await client.get("/health")).headers


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    paths = tmp_path / "cert.pem", tmp_path / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return str(paths[0]), str(paths[1])


def test_tls_options(pair: tuple[str, str]) -> None:
    certificate, key = pair
    assert tls_options(Settings()) == {}
    on = {"api_tls_certificate": certificate, "api_tls_key": key}
    assert tls_options(Settings(**on)) == {"ssl_certfile": certificate, "ssl_keyfile": key}
    both = tls_options(Settings(**on, api_tls_client_ca=certificate))
    assert both["ssl_cert_reqs"] == ssl.CERT_REQUIRED
    for wrong in (
        {"api_tls_certificate": certificate},
        {"api_tls_key": key},
        {"api_tls_client_ca": certificate},
        on | {"api_tls_key": certificate},
        on | {"api_tls_certificate": "/none"},
    ):
        with pytest.raises(SettingsError, match="SENTINEL_API_TLS_CERTIFICATE"):
            tls_options(Settings(**wrong))
