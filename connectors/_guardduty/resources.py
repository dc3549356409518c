"""What a finding is about, and who in it acts."""

from __future__ import annotations

from collections.abc import Callable
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


#: Where the id and the name of what may be the entity are, and both are texts.
ENTITIES: Final = tuple(
    f"resource.{place}.{name}"
    for place, uid, called, _ in _PLACES
    for name in (uid, called)
    if name
)
TYPE: Final = "resource.resourceType"
_LIKELY: Final = {
    "AccessKey": (),
    "EKSCluster": ("resource.eksClusterDetails.arn", "resource.eksClusterDetails.name"),
    "Instance": ENTITIES,
    "S3Bucket": ("resource.s3BucketDetails.arn", "resource.s3BucketDetails.name"),
}
USER: Final = "resource.kubernetesDetails.kubernetesUserDetails.username"
KEY: Final = ("resource.accessKeyDetails.userName", "resource.accessKeyDetails.userType")


def entity(get: Callable[[str], Any], account: str, region: str) -> str:
    """Return who or what a finding is about, as CloudTrail's events name it where they do.

    Parameters
    ----------
    get
        From one of `ENTITIES`, `TYPE`, `USER` and `KEY` to what is there; of a list, a list.
    """
    name, kind = map(word, map(get, KEY))
    if name and account:
        if kind == "Root":
            return f"arn:aws:iam::{account}:root"
        what = "role" if kind in ("AssumedRole", "Role") else "user"
        return f"arn:aws:iam::{account}:{what}/{name}"
    if user := word(get(USER)):
        return user
    for path in _LIKELY.get(_one(get(TYPE)), ENTITIES):
        found = get(path)
        found = word(found[0] if isinstance(found, list) and found else found)
        if found and path == ENTITIES[0] and account and region:
            return f"arn:aws:ec2:{region}:{account}:instance/{found}"
        if found:
            return found
    return account


def _one(value: Any) -> str:
    return value if value.__class__ is str else ""


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
