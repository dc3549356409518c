"""Mail over real SMTP: STARTTLS, log in, threads, and what a server's answers mean."""

from __future__ import annotations

import asyncio
import ssl
from email import message_from_bytes, policy

import pytest
from aiosmtpd.smtp import SMTP, AuthResult

CONFIG = {"host": "localhost", "sender": "sentinel@example.com", "to": ["soc@example.com"]}


class Inbox:
    """Takes mail; answers RCPT with `refusal` where it is set."""

    def __init__(self) -> None:
        self.mails = []
        self.refusal = ""
        self.users = []

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if self.refusal:
            return self.refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"

    def authenticate(self, server, session, envelope, mechanism, data):
        self.users.append((data.login.decode(), data.password.decode()))
        right = data.password == b"right"
        return AuthResult(success=right, handled=right)


@pytest.fixture
async def inbox(certificate):
    """Yield an inbox with its port: STARTTLS with a certificate of localhost."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.path, certificate.key_path)
    found = Inbox()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(
            found,
            tls_context=context,
            authenticator=found.authenticate,
            enable_SMTPUTF8=True,
            loop=loop,
        ),
        "127.0.0.1",
        0,
    )
    found.port = server.sockets[0].getsockname()[1]
    yield found
    server.close()
    await server.wait_closed()


async def test_a_mail_is_encrypted_signed_in_and_part_of_the_thread_of_its_alert(
    adapter, inbox, item, message
):
    config = CONFIG | {"port": inbox.port, "username": "ada", "password": "right"}
    email = adapter("email", config, subject="${severity}: ${title}")
    told = item(title="Grüße\r\nBcc: all@example.com")
    sent = message(told)
    assert await email.send(sent) == (250, "", "", None, False, False, "", "")
    (mail,) = inbox.mails
    assert mail["Subject"] == "critical: Grüße Bcc: all@example.com"
    assert mail["Bcc"] is None
    assert mail["Message-ID"] == f"<{sent.id}@example.com>"
    assert mail["References"] == f"<{told.data['id']}@example.com>"
    assert "Entity: root" in mail.get_content()
    assert inbox.users == [("ada", "right")]


async def test_a_wrong_password_is_tried_again_a_refused_recipient_is_not(adapter, inbox, message):
    config = CONFIG | {"port": inbox.port}
    wrong = await adapter("email", config | {"username": "ada", "password": "no"}).send(message())
    assert (wrong.status, wrong.permanent) == (535, False)
    inbox.refusal = "550 no such user"
    refused = await adapter("email", config).send(message())
    assert (refused.status, refused.permanent) == (550, True)
    inbox.refusal = "451 later"
    later = await adapter("email", config).send(message())
    assert (later.permanent, bool(later.error)) == (False, True)


async def test_a_certificate_of_another_host_is_refused(adapter, inbox, message, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    outcome = await adapter("email", CONFIG | {"port": inbox.port}).send(message())
    assert "CERTIFICATE_VERIFY_FAILED" in outcome.error
    assert inbox.mails == []


async def test_nobody_there(adapter, message):
    outcome = await adapter("email", CONFIG | {"port": 1}).send(message())
    assert outcome.error
    assert not outcome.permanent
