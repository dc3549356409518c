"""CloudTrail records, as AWS delivers them (event version 1.09)."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from random import Random
from typing import Any

from sentinel.sample.company import ACCOUNT, REGION, Actor

DATA_EVENTS = {"GetObject", "PutObject", "ListObjects", "GetItem", "PutItem"}
GLOBAL = {"iam", "sts", "signin"}


def identity(name: str, *, human: bool, key: str) -> dict[str, Any]:
    """Return the ``userIdentity`` of an IAM user, or of a session of a service's role."""
    if human:
        return {
            "type": "IAMUser",
            "principalId": f"AIDA{name.upper():0<17.17}",
            "arn": f"arn:aws:iam::{ACCOUNT}:user/{name}",
            "accountId": ACCOUNT,
            "accessKeyId": key,
            "userName": name,
        }
    principal = f"AROA{name.upper().replace('-', ''):0<17.17}"
    return {
        "type": "AssumedRole",
        "principalId": f"{principal}:{name}",
        "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/{name}",
        "accountId": ACCOUNT,
        "accessKeyId": key,
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "principalId": principal,
                "arn": f"arn:aws:iam::{ACCOUNT}:role/{name}",
                "accountId": ACCOUNT,
                "userName": name,
            },
            "attributes": {"mfaAuthenticated": "false"},
        },
    }


def key_of(name: str, *, human: bool) -> str:
    """Return an access key id: the same one for a name each time."""
    digits = uuid.uuid5(uuid.NAMESPACE_DNS, name).hex.upper()[:16]
    return ("AKIA" if human else "ASIA") + digits


def record(
    random: Random,
    time: float,
    actor: Actor,
    service: str,
    name: str,
    *,
    read_only: bool,
    parameters: dict[str, Any] | None = None,
    response: dict[str, Any] | None = None,
    error: str = "",
    ip: str = "",
    user_agent: str = "",
) -> tuple[str, bytes]:
    """Return the event id and the record as one line of JSON.

    Parameters
    ----------
    time
        Seconds since the epoch, UTC.
    error
        Error code; empty where the call succeeded.
    ip, user_agent
        Where not the actor's own.
    """
    ident = str(uuid.UUID(int=random.getrandbits(128), version=4))
    event: dict[str, Any] = {
        "eventVersion": "1.09",
        "userIdentity": identity(
            actor.name, human=actor.human, key=key_of(actor.name, human=actor.human)
        ),
        "eventTime": datetime.fromtimestamp(int(time), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "eventSource": f"{service}.amazonaws.com",
        "eventName": name,
        "awsRegion": "us-east-1" if service in GLOBAL else REGION,
        "sourceIPAddress": ip or actor.ip,
        "userAgent": user_agent or actor.user_agent,
        "requestParameters": parameters,
        "responseElements": response,
        "requestID": str(uuid.UUID(int=random.getrandbits(128), version=4)),
        "eventID": ident,
        "readOnly": read_only,
        "eventType": "AwsApiCall",
        "managementEvent": name not in DATA_EVENTS,
        "recipientAccountId": ACCOUNT,
        "eventCategory": "Data" if name in DATA_EVENTS else "Management",
        "tlsDetails": {
            "tlsVersion": "TLSv1.3",
            "cipherSuite": "TLS_AES_128_GCM_SHA256",
            "clientProvidedHostHeader": f"{service}.{REGION}.amazonaws.com",
        },
    }
    if error:
        event["errorCode"] = error
        event["errorMessage"] = (
            f"User: {event['userIdentity']['arn']} is not authorized to perform: {service}:{name}"
        )
    return ident, json.dumps(event, separators=(",", ":")).encode()
