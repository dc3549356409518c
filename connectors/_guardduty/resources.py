"""What a finding is about, and who in it acts."""

from __future__ import annotations

from typing import Any, Final

from connectors._findings.frame import MOST, inside, word
from connectors._json.fields import MAX_DATA, Fields, compact, some
from connectors._json.objects import address
from connectors.base import OCSF

#: Where resources are, the names of their id and name there, and what they are.
_PLACES: Final = (
    ("instanceDetails", "instanceId", "", "AWS::EC2::Instance"),
    ("s3BucketDetails", "arn", "name", "AWS::S3::Bucket"),
    ("eksClusterDetails", "arn", "name", "AWS::EKS::Cluster"),
    ("ecsClusterDetails", "arn", "name", "AWS::ECS::Cluster"),
    ("lambdaDetails", "functionArn", "functionName", "AWS::Lambda::Function"),
    ("rdsDbInstanceDetails", "dbInstanceArn", "dbInstanceIdentifier", "AWS::RDS::DBInstance"),
    (
        "rdsLimitlessDbDetails",
        "dbShardGroupArn",
        "dbShardGroupIdentifier",
        "AWS::RDS::DBShardGroup",
    ),
    ("containerDetails", "id", "name", "Container"),
)


def resources(fields: Fields) -> list[OCSF]:
    """Return the resources of a finding, its key or identity first."""
    whole = fields.get("resource")
    found = list(_identity(inside(whole, "accessKeyDetails")))
    for place, uid, name, kind in _PLACES:
        value = inside(whole, place)
        for item in value[:MOST] if isinstance(value, list) else (value,):
            identifier, called = word(inside(item, uid)), word(inside(item, name)) if name else ""
            if identifier or called:
                more = _instance(item) if place == "instanceDetails" else {}
                found.append(some(name=called, type=kind, uid=identifier, **more))
    volumes = inside(whole, "ebsVolumeDetails", "scannedVolumeDetails")
    items = volumes[:MOST] if isinstance(volumes, list) else ()
    uids = [uid for item in items if (uid := word(inside(item, "volumeArn")))]
    found += [{"type": "AWS::EC2::Volume", "uid": uid} for uid in uids]
    found.extend(_workload(inside(whole, "kubernetesDetails")))
    text = compact(whole) if whole else ""
    if found and len(text) <= MAX_DATA:  # all of it, since no object has a place for everything
        found[0]["data"] = text
    elif 0 < len(text) <= MAX_DATA:
        found = [{"data": text, "name": word(inside(whole, "resourceType")) or "unknown"}]
    return found[:MOST]


def entity(resource: Any, account: str, region: str) -> str:
    """Return who or what a finding is about, as CloudTrail's events name it where they do."""
    key = inside(resource, "accessKeyDetails")
    name, kind = word(inside(key, "userName")), word(inside(key, "userType"))
    if name and account:
        what = {"AssumedRole": "role", "Role": "role"}.get(kind, "user")
        if kind == "Root":
            return f"arn:aws:iam::{account}:root"
        return f"arn:aws:iam::{account}:{what}/{name}"
    if user := word(inside(resource, "kubernetesDetails", "kubernetesUserDetails", "username")):
        return user
    for place, uid, called, _ in _PLACES:
        value = inside(resource, place)
        item = value[0] if isinstance(value, list) and value else value
        found = word(inside(item, uid)) or (word(inside(item, called)) if called else "")
        if found and place == "instanceDetails" and account and region:
            return f"arn:aws:ec2:{region}:{account}:instance/{found}"
        if found:
            return found
    return account


def _identity(key: Any) -> list[OCSF]:
    uid, name = word(inside(key, "accessKeyId")), word(inside(key, "userName"))
    if not (uid or name):
        return []
    principal = word(inside(key, "principalId"))
    owner = some(name=name, type=word(inside(key, "userType")), uid=principal)
    return [
        some(
            name=name,
            owner=owner if owner.keys() & {"name", "uid"} else None,
            type="AWS::IAM::AccessKey",
            uid=uid,
        )
    ]


def _instance(item: Any) -> OCSF:
    """Return the address and zone of an instance."""
    cards = inside(item, "networkInterfaces")
    first = cards[0] if isinstance(cards, list) and cards else None
    return some(
        hostname=word(inside(first, "privateDnsName")),
        ip=address(inside(first, "privateIpAddress")),
        zone=word(inside(item, "availabilityZone")),
    )


def _workload(details: Any) -> list[OCSF]:
    work = inside(details, "kubernetesWorkloadDetails")
    name, uid = word(inside(work, "name")), word(inside(work, "uid"))
    if not (name or uid):
        return []
    kind = word(inside(work, "type")) or "workload"
    space = word(inside(work, "namespace"))
    return [some(name=name, namespace=space, type=f"Kubernetes {kind}", uid=uid)]
