"""E-mail over SMTP: STARTTLS or TLS, to the address that was checked.

A message has the same ``Message-ID`` for every attempt, by which mail stores recognise a
second copy; those of one alert are one thread (RFC 5322, 3.6.4).
"""

from __future__ import annotations

import asyncio
import smtplib
import socket
import ssl
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any, Final

from sentinel.errors import SentinelError
from sentinel.subscribers.kinds import Email
from streams.deliveries.adapters.base import Adapter, Message, Outcome

PERMANENT: Final = 500
#: Codes by which a server says that who we are is wrong, or the session: not this message.
OURS: Final = frozenset({530, 534, 535, 538, 500, 502, 503, 504})
PRIORITY: Final = {"critical": "1 (Highest)", "high": "2 (High)"}


class _Session(smtplib.SMTP):
    """A session with one checked address; TLS expects the name.

    `smtplib` has no setting for the address, but asks this method for its socket.
    """

    def __init__(self, address: str, context: ssl.SSLContext | None, timeout_s: float) -> None:
        self._address = address
        self._tls = context
        super().__init__(timeout=timeout_s)

    def _get_socket(self, host: str, port: int, timeout: float) -> Any:
        plain = socket.create_connection((self._address, port), timeout)
        return self._tls.wrap_socket(plain, server_hostname=host) if self._tls else plain

    def connect_to(self, host: str, port: int) -> None:
        """Connect; the certificate must be `host`'s."""
        self._host = host
        self.connect(host, port)


class EmailAdapter(Adapter[Email]):
    """One mail a message."""

    async def send(self, message: Message) -> Outcome:
        """Send a mail to all recipients."""
        channel = self.channel
        try:
            place = await self.wire.egress.place(channel.host, channel.port)
        except SentinelError as error:
            return Outcome(error=str(error))
        if channel.security == "none" and not place.allowed:
            return Outcome(error=f"expected TLS, or a host that is allowed; found {channel.host}")
        try:
            refused = await asyncio.to_thread(self._send, place.address, self.mail(message))
        except smtplib.SMTPRecipientsRefused as error:
            code = min((code for code, _ in error.recipients.values()), default=0)
            return _failed(code, f"every recipient was refused: {code}")
        except smtplib.SMTPResponseException as error:
            text = error.smtp_error
            said = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
            return _failed(error.smtp_code, f"{error.smtp_code} {said}")
        except (smtplib.SMTPException, OSError, ValueError) as error:
            return Outcome(error=str(error) or type(error).__name__)
        return Outcome(250, response=f"refused: {', '.join(refused)}" if refused else "")

    def mail(self, message: Message) -> EmailMessage:
        """Return the mail."""
        channel, first = self.channel, message.first.data
        host = channel.sender.partition("@")[2]
        thread = f"<{first['id']}@{host}>"
        mail = EmailMessage()
        mail["From"] = channel.sender
        mail["To"] = ", ".join(channel.to)
        mail["Subject"] = self.subject(message)
        mail["Date"] = formatdate(message.at, usegmt=True)
        mail["Message-ID"] = f"<{message.id}@{host}>"
        mail["References"] = thread
        mail["Auto-Submitted"] = "auto-generated"
        if priority := PRIORITY.get(str(first.get("severity"))):
            mail["X-Priority"] = priority
        mail.set_content(self.text(message))
        return mail

    def _send(self, address: str, mail: EmailMessage) -> list[str]:
        """Send, blocking; return the recipients that the server refused."""
        channel = self.channel
        context = ssl.create_default_context() if channel.security != "none" else None
        direct = context if channel.security == "tls" else None
        with _Session(address, direct, self.options.timeout_s) as session:
            session.connect_to(channel.host, channel.port)
            if channel.security == "starttls":
                session.starttls(context=context)
            if channel.username and channel.password:
                session.login(channel.username, channel.password.get_secret_value())
            return list(session.send_message(mail))


def _failed(code: int, error: str) -> Outcome:
    return Outcome(code, error, permanent=code >= PERMANENT and code not in OURS)
