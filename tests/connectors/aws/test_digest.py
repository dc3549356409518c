"""CloudTrail's digests: what was altered or deleted is found, and nothing else is."""

from __future__ import annotations

import gzip
import hashlib
import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from connectors._aws.digest import CloudTrailDigests
from connectors._aws.s3 import S3Settings
from connectors.cloudtrail import CloudTrail

KEY = generate_private_key(65_537, 2048)
TREE = "AWSLogs/123456789012"
NOW = datetime.now(UTC)


class Trail:
    """Writes log files and digests as CloudTrail does: hashes and signatures over content."""

    def __init__(self, cloud, trail):
        self.cloud, self.trail = cloud, trail
        self.before = (None, None, None)
        self.hour = NOW - timedelta(hours=12)

    def log(self, number: int) -> str:
        return f"{TREE}/CloudTrail/us-east-1/{self.hour:%Y/%m/%d}/{self.hour:%H}{number}.json.gz"

    def deliver(self, logs: int = 2) -> str:
        entries = []
        for number in range(logs):
            content = self.trail(3, f"{self.hour:%H}-{number}")
            self.cloud.put(self.log(number), gzip.compress(content))
            entry = {"s3Bucket": "logs", "s3Object": self.log(number), "hashAlgorithm": "SHA-256"}
            entries.append(entry | {"hashValue": hashlib.sha256(content).hexdigest()})
        at = self.hour.strftime("%Y-%m-%dT%H:%M:%SZ")
        key = f"{TREE}/CloudTrail-Digest/us-east-1/{self.hour:%Y/%m/%d}/{self.hour:%H}.json.gz"
        previous, hashed, signature = self.before
        digest = {
            "awsAccountId": "123456789012",
            "digestEndTime": at,
            "digestS3Bucket": "logs",
            "digestS3Object": key,
            "digestPublicKeyFingerprint": "finger",
            "previousDigestS3Bucket": "logs" if previous else None,
            "previousDigestS3Object": previous,
            "previousDigestHashValue": hashed,
            "previousDigestSignature": signature,
            "logFiles": entries,
        }
        content = json.dumps(digest).encode()
        told = f"{at}\nlogs/{key}\n{hashlib.sha256(content).hexdigest()}\n{signature or 'null'}"
        sign = KEY.sign(told.encode(), PKCS1v15(), SHA256()).hex()
        given = {"signature": sign, "signature-algorithm": "SHA256withRSA"}
        self.cloud.put(key, gzip.compress(content), Metadata=given)
        self.before = (key, hashlib.sha256(content).hexdigest(), sign)
        self.hour += timedelta(hours=1)
        return key


@pytest.fixture
def trails(cloud, trail, aws):
    cloud.bucket()
    public = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    key = {"Value": b64encode(public).decode(), "Fingerprint": "finger"}
    answer = json.dumps({"PublicKeyList": [key]}).encode()

    def keys(method, path, body):
        return (200, {}, answer) if path.endswith("ListPublicKeys") else None

    aws.faults.append(keys)
    return Trail(cloud, trail)


@pytest.fixture
def reader(aws):
    given = {"bucket": "logs", "endpoint_url": aws.url, "attempts": 2}
    made = CloudTrailDigests(S3Settings.model_validate(given), CloudTrail())
    yield made
    made.close()


def outcome(pages) -> tuple[list[tuple[str, str]], dict[str, int]]:
    """Return reasons and names of what is wrong, and what was counted."""
    wrong, counts = [], {}
    for page in pages:
        wrong += [(r.problem.partition(":")[0], r.id.rpartition("/")[2]) for r in page.records]
        for reason, count in page.skipped.items():
            counts[reason] = counts.get(reason, 0) + count
    return wrong, counts


def test_a_chain_that_is_whole(trails, reader):
    for _ in range(3):
        trails.deliver()
    pages = list(reader.read(None))
    assert outcome(pages) == ([], {"digest_valid": 3, "log_valid": 6})
    assert outcome(reader.read(json.loads(json.dumps(pages[0].position))))[1]["digest_valid"] == 2
    assert outcome(reader.read(pages[-1].position)) == ([], {})
    listed = list(reader.listing(NOW - timedelta(days=2), NOW + timedelta(hours=1)))
    assert len(listed) == 6
    assert all("/CloudTrail/" in each.id for each in listed)


def test_log_files_deleted_and_altered(trails, reader, cloud, trail):
    first = trails.log(0), trails.log(1)
    trails.deliver()
    cloud.client("s3").delete_object(Bucket="logs", Key=first[0])
    cloud.put(first[1], gzip.compress(trail(2)))
    wrong, counts = outcome(reader.read(None))
    names = [key.rpartition("/")[2] for key in first]
    assert wrong == [("log_missing", names[0]), ("log_altered", names[1])]
    assert counts == {"digest_valid": 1}


def test_digests_altered_moved_deleted_or_without_signature(trails, reader, cloud, aws):
    keys = [trails.deliver(1) for _ in range(5)]
    s3 = cloud.client("s3")
    got = s3.get_object(Bucket="logs", Key=keys[1])
    altered = json.loads(gzip.decompress(got["Body"].read())) | {"logFiles": []}
    cloud.put(keys[1], gzip.compress(json.dumps(altered).encode()), Metadata=got["Metadata"])
    s3.copy_object(Bucket="logs", Key=f"{keys[4]}x", CopySource={"Bucket": "logs", "Key": keys[4]})
    s3.delete_object(Bucket="logs", Key=keys[3])
    cloud.put(f"{keys[4]}y", b"no digest")
    wrong, _ = outcome(reader.read(None))
    names = [key.rpartition("/")[2] for key in keys]
    assert wrong == [
        ("digest_signature", names[1]),
        ("digest_chain", names[2]),  # the one before it was altered
        ("digest_chain", names[4]),  # the one before it is gone
        ("digest_signature", f"{names[4]}x"),
        ("digest_format", f"{names[4]}y"),
    ]


def test_a_digest_that_no_key_of_cloudtrail_signed(trails, reader, aws):
    trails.deliver(1)
    other = generate_private_key(65_537, 2048).public_key()
    key = b64encode(other.public_bytes(Encoding.DER, PublicFormat.PKCS1)).decode()
    for fingerprint, told in (("finger", "does not fit"), ("another", "found others")):
        answer = json.dumps({"PublicKeyList": [{"Value": key, "Fingerprint": fingerprint}]})
        aws.faults[:] = [
            lambda m, path, b, answer=answer: (
                (200, {}, answer.encode()) if path.endswith("ListPublicKeys") else None
            )
        ]
        reader.__dict__.pop("_keys", None)
        (page, *_) = list(reader.read(None))
        assert told in page.records[0].problem
