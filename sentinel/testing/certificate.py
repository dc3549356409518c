"""A certificate for ``localhost`` that lasts a day, made on the spot."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path


class Certificate:
    """Two files in a folder of their own.

    Attributes
    ----------
    path
        PEM of the certificate: what clients have to trust.
    key_path
        PEM of its key.
    """

    def __init__(self) -> None:
        # Imported here: in-memory doubles need no cryptography.
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
        now = datetime.now(UTC)
        names = [x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        self._folder = tempfile.TemporaryDirectory(prefix="sentinel-double-")
        self.path = str(Path(self._folder.name, "certificate.pem"))
        self.key_path = str(Path(self._folder.name, "key.pem"))
        pem = serialization.Encoding.PEM
        Path(self.path).write_bytes(certificate.public_bytes(pem))
        Path(self.key_path).write_bytes(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )

    def close(self) -> None:
        """Remove the files."""
        self._folder.cleanup()
