"""CloudTrail's digest files: which log files there must be, and what is in them.

Every hour CloudTrail writes a digest file for each trail and region: the log files of that
hour with the SHA-256 of their content, the hash and signature of the digest before it, signed
with RSA. This reader verifies each digest as it appears and reads the log files it names. What
is wrong becomes a dead letter: ``digest_signature``, ``digest_chain``, ``log_missing``,
``log_altered``. What is right is counted (``digest_valid``, ``log_valid``).

Rights: as for listing, on ``CloudTrail-Digest`` and the logs; ``cloudtrail:ListPublicKeys``.

Source: CloudTrail User Guide, "CloudTrail digest file structure" and "Custom implementations
of CloudTrail log file integrity validation".
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

import msgspec

from connectors._aws.account import client, code_of, refusals, told
from connectors._aws.objects.body import Body
from connectors._aws.objects.layout import Wanted
from connectors._aws.objects.progress import Found
from connectors._aws.s3 import S3Objects
from connectors._reading.base import Listed, Page, Position, Record, SourceError
from connectors._reading.fault import fault

MAX_DIGEST: Final = 64 << 20
"""Bytes of a digest unpacked; one entry takes 300."""
_ALGORITHM: Final = "SHA256withRSA"
_GONE: Final = {"NoSuchKey", "404"}


class LogFile(msgspec.Struct):
    """A log file as a digest names it."""

    s3Bucket: str  # noqa: N815 - CloudTrail's spelling, here and below
    s3Object: str  # noqa: N815
    hashValue: str  # noqa: N815
    newestEventTime: str | None = None  # noqa: N815


class Digest(msgspec.Struct):
    """A digest file; ``previous…`` are null in the first one of a chain."""

    digestEndTime: str  # noqa: N815
    digestS3Bucket: str  # noqa: N815
    digestS3Object: str  # noqa: N815
    digestPublicKeyFingerprint: str  # noqa: N815
    previousDigestS3Bucket: str | None = None  # noqa: N815
    previousDigestS3Object: str | None = None  # noqa: N815
    previousDigestHashValue: str | None = None  # noqa: N815
    previousDigestSignature: str | None = None  # noqa: N815
    logFiles: list[LogFile] = []  # noqa: N815


_decode: Final = msgspec.json.Decoder(Digest).decode


def signed(digest: Digest, content: bytes) -> bytes:
    """Return what CloudTrail signs."""
    return "\n".join(
        (
            digest.digestEndTime,
            f"{digest.digestS3Bucket}/{digest.digestS3Object}",
            hashlib.sha256(content).hexdigest(),
            digest.previousDigestSignature or "null",
        )
    ).encode()


def verify(key: bytes, signature: str, message: bytes) -> bool:
    """Return whether `signature` (hex) is that of `message` by `key` (PKCS #1, DER)."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        public = load_der_public_key(key)
        if not isinstance(public, RSAPublicKey):
            return False
        public.verify(bytes.fromhex(signature), message, PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError):
        return False
    return True


class CloudTrailDigests(S3Objects):
    """Verifies digest files and the log files they name."""

    @cached_property
    def _trail(self) -> Any:
        return client(self.settings, "cloudtrail")

    @cached_property
    def _keys(self) -> dict[str, bytes]:
        return {}

    def read(self, position: Position | None) -> Iterator[Page]:
        """Yield a page for each digest: its faults, and what was valid as skipped.

        Raises
        ------
        DeniedError, SourceError
            See `connectors._aws.account.refusals`.
        """
        roots = self._roots()
        progress, clock = self._begun(position, roots)
        for job in self._jobs(roots, progress, clock):
            found = job.found
            if found is None:
                job.done()
                continue
            counts: dict[str, int] = {}
            logs: list[str] = []
            faults = list(self._verified(found, counts, logs))
            job.done()
            yield Page(faults, progress.position(), None, counts, logs)
            if self.stopping.is_set():
                return
        yield Page((), progress.position(), 0.0)

    def listing(self, since: datetime, until: datetime) -> Iterator[Listed]:
        """Yield the log files that the digests of a span name: what CloudTrail delivered."""
        last = until + timedelta(hours=2)  # a digest comes an hour after its logs
        for each in super().listing(since, last):
            name = each.id.removeprefix(f"s3://{self.settings.bucket}/")
            got = self._content(self.settings.bucket, name)
            if got is None:
                continue
            try:
                digest = _decode(got[0])
            except (ValueError, RecursionError):
                continue  # `read` reports it
            for log in digest.logFiles:
                newest = _time(log.newestEventTime) or each.time
                if since <= newest <= until:
                    yield Listed(f"s3://{log.s3Bucket}/{log.s3Object}", newest)

    def close(self) -> None:
        """Close the connections."""
        super().close()
        if "_trail" in self.__dict__:
            self._trail.close()

    def _wanted(self) -> Wanted:
        return super()._wanted()._replace(folders=frozenset({"CloudTrail-Digest"}))

    def _verified(self, found: Found, counts: dict[str, int], logs: list[str]) -> Iterator[Record]:
        """Yield what is wrong with a digest and its log files; add those that are there."""
        bucket, name = self.settings.bucket, f"s3://{self.settings.bucket}/{found.key}"
        got = self._content(bucket, found.key)
        if got is None:
            _count(counts, "object_gone")
            return
        content, metadata = got
        try:
            digest = _decode(content)
        except (ValueError, RecursionError) as error:
            what = f"expected a digest file of CloudTrail, found: {error}"
            yield fault("digest_format", what, name, content)
            return
        problem = self._signature_problem(digest, found, content, metadata)
        if problem:
            yield fault("digest_signature", problem, name, content)
        elif broken := self._chain_problem(digest):
            yield fault("digest_chain", broken, name, content)
        else:
            _count(counts, "digest_valid")
        for log in digest.logFiles:
            record = self._log_problem(log, name)
            if record is None:
                _count(counts, "log_valid")
                logs.append(f"s3://{log.s3Bucket}/{log.s3Object}")
            else:
                yield record

    def _signature_problem(
        self, digest: Digest, found: Found, content: bytes, metadata: dict[str, str]
    ) -> str:
        """Return what is wrong with the signature, or an empty string."""
        place = f"{digest.digestS3Bucket}/{digest.digestS3Object}"
        if place != f"{self.settings.bucket}/{found.key}":
            return f"expected the digest of {place} at that place, found it elsewhere: it was moved"
        signature = metadata.get("signature", "")
        if not signature or metadata.get("signature-algorithm") != _ALGORITHM:
            return f"expected a signature by {_ALGORITHM} in the object's metadata, found none"
        key = self._key(digest)
        if key is None:
            fingerprint = digest.digestPublicKeyFingerprint
            return f"expected the public key {fingerprint} from CloudTrail, found others"
        if not verify(key, signature, signed(digest, content)):
            return "expected a valid signature, found that it does not fit: the digest was altered"
        return ""

    def _chain_problem(self, digest: Digest) -> str:
        """Return what is wrong with the digest before, or an empty string."""
        bucket, key = digest.previousDigestS3Bucket, digest.previousDigestS3Object
        if not bucket or not key:
            return ""
        got = self._content(bucket, key)
        if got is None:
            return f"expected the digest before at s3://{bucket}/{key}, found none: it was deleted"
        content, metadata = got
        if hashlib.sha256(content).hexdigest() != digest.previousDigestHashValue:
            return f"expected s3://{bucket}/{key} unchanged, found another content: it was altered"
        if metadata.get("signature") != digest.previousDigestSignature:
            return f"expected the signature of s3://{bucket}/{key} that is named, found another"
        return ""

    def _log_problem(self, log: LogFile, digest: str) -> Record | None:
        """Return the fault of a log file, or None."""
        name = f"s3://{log.s3Bucket}/{log.s3Object}"
        hashed = self._hash(log.s3Bucket, log.s3Object)
        if hashed is None:
            what = f"expected a log file that {digest} names, found none: it was deleted"
            return fault("log_missing", what, name)
        if hashed != log.hashValue:
            what = f"expected SHA-256 {log.hashValue} as {digest} says, found {hashed}"
            return fault("log_altered", f"{what}: the log file was altered", name)
        return None

    def _key(self, digest: Digest) -> bytes | None:
        """Return the public key that a digest names, in PKCS #1."""
        name = digest.digestPublicKeyFingerprint
        if name not in self._keys and (at := _time(digest.digestEndTime)) is not None:
            asked: dict[str, Any] = {
                "StartTime": at - timedelta(days=1),
                "EndTime": at + timedelta(days=1),
            }
            with refusals("cloudtrail:ListPublicKeys", "*"):
                got = self._trail.list_public_keys(**asked)
            for each in got.get("PublicKeyList", ()):
                value = each["Value"]
                self._keys[each["Fingerprint"]] = (
                    value if isinstance(value, bytes) else b64decode(value)
                )
        return self._keys.get(name)

    def _content(self, bucket: str, key: str) -> tuple[bytes, dict[str, str]] | None:
        """Return an object unpacked and its metadata; None where there is none."""
        opened = self._open(bucket, key)
        if opened is None:
            return None
        body, metadata = opened
        parts, size = [], 0
        for piece in body:
            parts.append(piece)
            size += len(piece)
            if size > MAX_DIGEST:
                raise SourceError(f"expected at most {MAX_DIGEST} bytes in s3://{bucket}/{key}")
        return b"".join(parts), metadata

    def _hash(self, bucket: str, key: str) -> str | None:
        """Return the SHA-256 of the content of an object; None where there is none."""
        opened = self._open(bucket, key)
        if opened is None:
            return None
        hashed = hashlib.sha256()
        for piece in opened[0]:
            hashed.update(piece)
        return hashed.hexdigest()

    def _open(self, bucket: str, key: str) -> tuple[Body, dict[str, str]] | None:
        from botocore.exceptions import ClientError

        arn = f"arn:aws:s3:::{bucket}/{key}"
        with refusals("s3:GetObject", arn):
            try:
                got = self._s3.get_object(Bucket=bucket, Key=key)
            except ClientError as error:
                if code_of(error) in _GONE:
                    return None
                raise told(error, "s3:GetObject", arn) from error
        return Body(got["Body"].iter_chunks(256 << 10)), dict(got.get("Metadata", {}))


def _count(counts: dict[str, int], what: str) -> None:
    counts[what] = counts.get(what, 0) + 1


def _time(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
