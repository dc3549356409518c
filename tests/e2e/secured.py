"""A Kafka that asks for TLS and a password or a certificate, and a PostgreSQL with TLS.

The same parts as the embedded ones, with other settings; certificates are made here.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
import struct
import threading
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sentinel.local import broker, database
from sentinel.local.home import Identity, identity
from sentinel.local.process import Service, Supervised

HOST = "127.0.0.1"
USER, PASSWORD = "sentinel", "correct-horse"
_LISTENERS = """
listeners=SASL_SSL://{host}:{sasl},SSL://{host}:{tls},CONTROLLER://{host}:{controller}
advertised.listeners=SASL_SSL://{host}:{sasl},SSL://{host}:{tls}
listener.security.protocol.map=SASL_SSL:SASL_SSL,SSL:SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=SSL
ssl.keystore.type=PEM
ssl.keystore.location={server}
ssl.truststore.type=PEM
ssl.truststore.location={authority}
listener.name.ssl.ssl.client.auth=required
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.\
PlainLoginModule required user_{user}="{password}";
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.\
ScramLoginModule required;
"""


class Authority:
    """A certificate authority: its certificate, and files of what it signs, in `folder`."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._build(self._subject, self._key, authority=True)
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def sign(self, name: str, address: str = HOST) -> tuple[Path, Path, Path]:
        """Return files for the holder of `name`: certificate, key, and both in one."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._build(subject, key, address=address)
        certificate = made.public_bytes(serialization.Encoding.PEM)
        secret = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        files = [self._folder / f"{self._name}-{name}.{end}" for end in ("crt", "key", "pem")]
        for path, content in zip(files, (certificate, secret, secret + certificate), strict=True):
            path.write_bytes(content)
            path.chmod(0o600)
        return files[0], files[1], files[2]

    def _build(
        self, subject: x509.Name, key: Any, *, address: str = HOST, authority: bool = False
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if not authority:
            names = [x509.IPAddress(ipaddress.ip_address(address))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256())


@dataclass
class Secured:
    """What runs, and how to be let in.

    Attributes
    ----------
    sasl, tls
        Bootstrap servers that ask for name and password, and for a certificate.
    postgres
        DSN, without certificates.
    trusted, stranger
        The authority that all trust, and one that nobody does.
    """

    sasl: str
    tls: str
    postgres: str
    trusted: Authority
    stranger: Authority

    def sasl_settings(self) -> dict[str, str]:
        """Return the settings that are let in by name and password."""
        return {
            "kafka": self.sasl,
            "kafka_security_protocol": "SASL_SSL",
            "kafka_sasl_mechanism": "SCRAM-SHA-512",
            "kafka_sasl_username": USER,
            "kafka_sasl_password": PASSWORD,
            "kafka_ssl_ca": str(self.trusted.path),
        }

    def verified(self, authority: Authority) -> str:
        """Return the DSN for a client that trusts `authority` alone."""
        return f"{self.postgres}?sslmode=verify-full&sslrootcert={authority.path}"


@contextmanager
def running(home: Path) -> Iterator[Secured]:
    """Run both, in `home`."""
    chosen = identity(home)
    trusted, stranger = Authority(home, "trusted"), Authority(home, "stranger")
    server = trusted.sign("server")
    way = Tls(chosen.ports["postgres"], server)
    dsn = database.dsn(chosen).replace(f":{chosen.ports['postgres']}/", f":{way.port}/")
    sasl, tls = f"{HOST}:{chosen.ports['kafka']}", f"{HOST}:{chosen.ports['api']}"
    made = Secured(sasl, tls, dsn, trusted, stranger)
    admin = _admin(made)
    kafka = replace(_kafka(home, chosen, server[2], trusted), ready=lambda: _answers(admin))
    parts = [_start(home, each) for each in (kafka, database.prepare(home, chosen, _silent))]
    try:
        for part in parts:
            part.wait_ready(240)
        _add_user(admin)
        yield made
    finally:
        way.close()
        for part in parts:
            part.stop()


def _silent(_message: str) -> None:
    """Report nothing."""


def _kafka(home: Path, chosen: Identity, server: Path, authority: Authority) -> Service:
    service = broker.prepare(home, chosen, _silent)
    ports: Mapping[str, int] = chosen.ports
    listeners = _LISTENERS.format(
        host=HOST, sasl=ports["kafka"], tls=ports["api"], controller=ports["controller"],
        server=server, authority=authority.path, user=USER, password=PASSWORD,
    )  # fmt: skip
    with (home / "kafka" / "server.properties").open("a") as config:
        config.write(listeners)
    return service


def _start(home: Path, service: Service) -> Supervised:
    part = Supervised(service, home, _silent)
    part.start()
    return part


class Tls:
    """TLS in front of a PostgreSQL that was built without it (as that in the wheel is).

    A client asks for TLS by 8 bytes and is told ``S`` (PostgreSQL, Frontend/Backend Protocol,
    SSL Session Encryption); what it says in plain text is refused, as by ``hostssl``.
    """

    REQUEST = struct.pack("!II", 8, 80877103)

    def __init__(self, target: int, server: tuple[Path, Path, Path]) -> None:
        self._target = target
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(server[0], server[1])
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._lines: set[asyncio.Task[None]] = set()
        self._server = self._call(asyncio.start_server(self._serve, HOST, 0))
        self.port: int = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """End every connection."""

        async def end() -> None:
            self._server.close()
            for line in list(self._lines):
                line.cancel()
            await asyncio.gather(*self._lines, return_exceptions=True)

        self._call(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(120)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = asyncio.current_task()
        assert line is not None
        self._lines.add(line)
        ends = [writer]
        try:
            if await reader.readexactly(len(self.REQUEST)) != self.REQUEST:
                return
            writer.write(b"S")
            await writer.start_tls(self._context)
            far_reader, far_writer = await asyncio.open_connection(HOST, self._target)
            ends.append(far_writer)
            ways = (self._pass(reader, far_writer), self._pass(far_reader, writer))
            await asyncio.gather(*ways)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # one end has gone: so does the other
        finally:
            self._lines.discard(line)
            for end in ends:
                end.transport.abort()

    @staticmethod
    async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError


def _admin(made: Secured) -> AdminClient:
    options = {
        "bootstrap.servers": made.sasl,
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "sasl.username": USER,
        "sasl.password": PASSWORD,
        "ssl.ca.location": str(made.trusted.path),
        "log_level": 0,
    }
    return AdminClient(options)


def _answers(admin: AdminClient) -> bool:
    try:
        return bool(admin.list_topics(timeout=3).brokers)
    except KafkaException:
        return False


def _add_user(admin: AdminClient) -> None:
    """Give the user a SCRAM password; the one of PLAIN is in the broker's configuration."""
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    wanted = UserScramCredentialUpsertion(USER, info, PASSWORD.encode())
    for done in admin.alter_user_scram_credentials([wanted]).values():
        done.result(120)
