"""Who works at the company, what runs there, and how busy each of them is."""

from __future__ import annotations

import math
from typing import NamedTuple

ACCOUNT = "111122223333"
REGION = "eu-west-1"
OFFICE_IPS = ("192.0.2.10", "192.0.2.11")


class Call(NamedTuple):
    """An API call that someone makes, with how often relative to their others."""

    service: str
    name: str
    read_only: bool
    weight: float
    parameters: dict[str, str] | None = None


class Actor(NamedTuple):
    """A person or a service on AWS.

    Attributes
    ----------
    name
        User name, or the role's name for a service.
    human
        People have IAM users and pauses, services have roles and run evenly.
    ip, user_agent
        Where they come from and with what.
    rate
        Calls per minute when busy.
    calls
        What they do.
    """

    name: str
    human: bool
    ip: str
    user_agent: str
    rate: float
    calls: tuple[Call, ...]


class Host(NamedTuple):
    """A Linux host and the commands people and timers run there, with their user ids."""

    name: str
    ip: str
    logins: tuple[tuple[str, int], ...]
    commands: tuple[tuple[str, ...], ...]
    timers: tuple[tuple[str, ...], ...]


CONSOLE = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
CLI = "aws-cli/2.17.20 md/awscrt#0.20.11 ua/2.0 os/linux#6.8.0 lang/python#3.11.9"
TERRAFORM = "APN/1.0 HashiCorp/1.0 Terraform/1.9.2 aws-sdk-go-v2/1.30.3 os/linux lang/go#1.22.5"
BOTO = "Boto3/1.34.149 md/Botocore#1.34.149 ua/2.0 os/linux#6.1.97 lang/python#3.12.4"

LOOK = (
    Call("ec2", "DescribeInstances", True, 6),
    Call("ec2", "DescribeSecurityGroups", True, 2),
    Call("s3", "ListBuckets", True, 2),
    Call("cloudwatch", "GetMetricData", True, 5),
    Call("logs", "DescribeLogGroups", True, 2),
)
DEVELOP = (
    *LOOK,
    Call("lambda", "ListFunctions20150331", True, 3),
    Call("lambda", "UpdateFunctionCode20150331v2", False, 1, {"functionName": "orders-api"}),
    Call("ecr", "DescribeImages", True, 2, {"repositoryName": "orders"}),
    Call("codebuild", "StartBuild", False, 0.5, {"projectName": "orders"}),
    Call("logs", "FilterLogEvents", True, 4, {"logGroupName": "/aws/lambda/orders-api"}),
)
OPERATE = (
    *LOOK,
    Call("iam", "ListUsers", True, 1),
    Call("iam", "GetRole", True, 2, {"roleName": "orders-api"}),
    Call("ec2", "CreateTags", False, 1, {"resourceId": "i-0a1b2c3d4e5f60718"}),
    Call("ec2", "RebootInstances", False, 0.2, {"instanceId": "i-0a1b2c3d4e5f60718"}),
    Call("rds", "DescribeDBInstances", True, 3),
    Call("kms", "DescribeKey", True, 1, {"keyId": "alias/orders"}),
    Call("cloudformation", "DescribeStacks", True, 3),
)
PEOPLE = (
    Actor("alice", True, OFFICE_IPS[0], CONSOLE, 2.0, OPERATE),
    Actor("bruno", True, OFFICE_IPS[0], CLI, 1.6, OPERATE),
    Actor("chloe", True, OFFICE_IPS[1], CONSOLE, 1.2, DEVELOP),
    Actor("dmitri", True, OFFICE_IPS[1], CLI, 1.8, DEVELOP),
    Actor("emeka", True, "198.51.100.23", CLI, 1.0, DEVELOP),
    Actor("farah", True, "198.51.100.77", CONSOLE, 0.7, LOOK),
    Actor("kim", True, OFFICE_IPS[0], CLI, 1.1, DEVELOP),
)
SERVICES = (
    Actor("orders-api", False, "10.0.3.15", BOTO, 14.0, (
        Call("dynamodb", "GetItem", True, 9, {"tableName": "orders"}),
        Call("dynamodb", "PutItem", False, 3, {"tableName": "orders"}),
        Call("secretsmanager", "GetSecretValue", True, 0.3, {"secretId": "orders/db"}),
        Call("kms", "Decrypt", True, 2),
    )),
    Actor("nightly-etl", False, "10.0.4.22", BOTO, 9.0, (
        Call("s3", "GetObject", True, 6, {"bucketName": "acme-lake", "key": "raw/part-0001"}),
        Call("s3", "PutObject", False, 3, {"bucketName": "acme-lake", "key": "clean/part-0001"}),
        Call("glue", "GetTable", True, 2, {"name": "orders"}),
    )),
    Actor("ci-deployer", False, "10.0.5.9", TERRAFORM, 6.0, (
        Call("ec2", "DescribeVpcs", True, 3),
        Call("iam", "GetPolicy", True, 2, {"policyArn": f"arn:aws:iam::{ACCOUNT}:policy/orders"}),
        Call("s3", "GetBucketPolicy", True, 2, {"bucketName": "acme-lake"}),
        Call("lambda", "GetFunction20150331v2", True, 3, {"functionName": "orders-api"}),
        Call("ecs", "UpdateService", False, 0.4, {"service": "web", "cluster": "main"}),
    )),
    Actor("backup", False, "10.0.6.4", BOTO, 2.0, (
        Call("ec2", "CreateSnapshot", False, 1, {"volumeId": "vol-0aa11bb22cc33dd44"}),
        Call("ec2", "DescribeSnapshots", True, 4),
    )),
)  # fmt: skip
EDIT = ("vim", "deploy/values.yaml")
HOSTS = (
    Host(
        "web-1",
        "10.0.1.5",
        (("alice", 1001), ("bruno", 1002)),
        (("ls", "-la"), ("systemctl", "status", "nginx"), ("tail", "-n", "50",
         "/var/log/nginx/access.log"), ("df", "-h"), EDIT, ("git", "pull")),
        (("/usr/sbin/logrotate", "/etc/logrotate.conf"), ("/usr/bin/certbot", "renew", "-q")),
    ),
    Host(
        "db-1",
        "10.0.1.9",
        (("bruno", 1002),),
        (("ls",), ("psql", "-c", "select 1"), ("free", "-m"), ("uptime",)),
        (("/usr/bin/pg_dump", "-Fc", "orders"), ("/usr/bin/find", "/backup", "-mtime", "+7")),
    ),
    Host(
        "bastion",
        "10.0.0.4",
        (("alice", 1001), ("bruno", 1002), ("dmitri", 1004)),
        (("ssh", "web-1"), ("ssh", "db-1"), ("who",), ("id",)),
        (("/usr/lib/apt/apt.systemd.daily", "update"),),
    ),
)  # fmt: skip


def busy(actor: Actor, minute: float) -> float:
    """Return calls per minute at `minute`: people come and go in waves, services hardly vary.

    A person's wave has a period of 20 to 40 minutes and a phase of their own, both
    derived from the name, and dips to nothing, as pauses do.
    """
    seed = sum(map(ord, actor.name))
    wave = math.sin(2 * math.pi * minute / (20 + seed % 21) + seed)
    if actor.human:
        return actor.rate * max(0.0, 0.6 + 0.8 * wave)
    return actor.rate * (1 + 0.1 * wave)
