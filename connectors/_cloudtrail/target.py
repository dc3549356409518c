"""What a CloudTrail operation acted on: users, groups, policies, resources, sessions."""

from __future__ import annotations

from typing import Any, Final

from connectors._json.fields import Fields, some

MAX_RESOURCES: Final = 32

# Request parameters that name a resource: its type as AWS CloudFormation spells it.
_NAMED: Final = {
    "bucketName": "AWS::S3::Bucket",
    "clusterName": "AWS::ECS::Cluster",
    "dBClusterIdentifier": "AWS::RDS::DBCluster",
    "dBClusterSnapshotIdentifier": "AWS::RDS::DBClusterSnapshot",
    "dBInstanceIdentifier": "AWS::RDS::DBInstance",
    "dBSnapshotIdentifier": "AWS::RDS::DBSnapshot",
    "detectorId": "AWS::GuardDuty::Detector",
    "functionName": "AWS::Lambda::Function",
    "groupId": "AWS::EC2::SecurityGroup",
    "imageId": "AWS::EC2::Image",
    "instanceId": "AWS::EC2::Instance",
    "instanceProfileName": "AWS::IAM::InstanceProfile",
    "keyId": "AWS::KMS::Key",
    "logGroupName": "AWS::Logs::LogGroup",
    "policyArn": "AWS::IAM::Policy",
    "repositoryName": "AWS::ECR::Repository",
    "roleArn": "AWS::IAM::Role",
    "roleName": "AWS::IAM::Role",
    "secretId": "AWS::SecretsManager::Secret",
    "snapshotId": "AWS::EC2::Snapshot",
    "tableName": "AWS::DynamoDB::Table",
    "target": "AWS::EC2::Instance",
    "topicArn": "AWS::SNS::Topic",
    "trailName": "AWS::CloudTrail::Trail",
    "userName": "AWS::IAM::User",
    "volumeId": "AWS::EC2::Volume",
    "vpcId": "AWS::EC2::VPC",
}


def _text(value: Any, *names: str) -> str:
    """Return the text at the path `names` under `value`, or an empty string."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def changed_user(fields: Fields) -> dict[str, Any]:
    """Return the user or role that the request changes; empty where it names none."""
    request, answer = fields.get("requestParameters"), fields.get("responseElements")
    role = _text(request, "roleName")
    kind = "role" if role or _text(answer, "role", "arn") else "user"
    name = role or _text(request, "userName") or _text(answer, kind, f"{kind}Name")
    uid_alt = _text(answer, kind, f"{kind}Id") or _text(request, "userId")
    uid = _text(answer, kind, "arn")
    found = some(name=name or uid_alt, uid=uid, uid_alt=uid_alt)
    return found | {"type": "Role" if kind == "role" else "User"} if found else {}


def group(fields: Fields) -> dict[str, Any]:
    """Return the group that the request changes."""
    request, answer = fields.get("requestParameters"), fields.get("responseElements")
    name = _text(request, "groupName") or _text(request, "displayName")
    uid = _text(answer, "group", "arn") or _text(request, "groupId") or _text(answer, "groupId")
    return some(name=name, uid=uid) or {"name": "unknown"}


def policies(fields: Fields) -> list[dict[str, Any]]:
    """Return the policy that the request attaches, detaches, writes or deletes."""
    request = fields.get("requestParameters")
    arn = _text(request, "policyArn") or _text(request, "permissionsBoundary")
    name = _text(request, "policyName") or arn.rpartition("/")[2]
    return [some(name=name, uid=arn)] if name or arn else []


def auth_session(fields: Fields) -> dict[str, Any]:
    """Return the session that temporary credentials were issued for."""
    request, answer = fields.get("requestParameters"), fields.get("responseElements")
    return some(
        credential_uid=_text(answer, "credentials", "accessKeyId"),
        issuer=_text(request, "roleArn"),
        uid=_text(answer, "assumedRoleUser", "arn") or _text(answer, "federatedUser", "arn"),
        uid_alt=_text(answer, "assumedRoleUser", "assumedRoleId"),
    )


def resources(fields: Fields) -> list[dict[str, Any]]:
    """Return the resources that the record lists or its request names, each once."""
    found: dict[str, dict[str, Any]] = {}
    listed = fields.get("resources")
    for item in listed if isinstance(listed, list) else ():
        uid = _text(item, "ARN") or _text(item, "arn") or _text(item, "ARNPrefix")
        owner = _text(item, "accountId")
        row = some(owner=some(account=some(uid=owner)), type=_text(item, "type"), uid=uid)
        if uid:
            found.setdefault(uid, row)
    request = fields.get("requestParameters")
    for name, value in request.items() if isinstance(request, dict) else ():
        if isinstance(value, str) and (name in _NAMED or value.startswith("arn:")):
            key = "uid" if value.startswith("arn:") or name.endswith("Id") else "name"
            if value:
                found.setdefault(value, some(**{key: value}, type=_NAMED.get(name)))
    return list(found.values())[:MAX_RESOURCES]
