"""Who acted: from CloudTrail's ``userIdentity`` to one name that is stable over sessions.

An analyst follows people and workloads, not sessions. So:

- a user, the root user: its ARN;
- a session of a role or a federated session: the ARN of the role or user that issued it,
  unless the session name is a person's (IAM Identity Center names sessions after the
  user, identity providers after the e-mail address): then the session's own ARN, which
  carries role and person;
- an AWS service: its name, ``autoscaling.amazonaws.com``;
- a caller of another account: account and principal id without the session name;
- SAML and web identity users: provider and user; IAM Identity Center users: their id.

Events without an actor (service events, Insights) are the service's own.

Source: AWS CloudTrail User Guide, "CloudTrail userIdentity element".
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

_ISSUED: Final = frozenset({"AssumedRole", "FederatedUser", "Role"})


class Identity(NamedTuple):
    """The parts of ``userIdentity`` that tell who acted; empty where not said."""

    type: str = ""
    arn: str = ""
    principal: str = ""
    account: str = ""
    user_name: str = ""
    invoked_by: str = ""
    provider: str = ""
    issuer_arn: str = ""
    on_behalf_of: str = ""


@lru_cache(maxsize=32768)
def entity(identity: Identity) -> str:
    """Return the acting entity; empty where the event does not say who acted."""
    kind = identity.type
    if kind in _ISSUED and identity.arn:
        return _issued(identity)
    if kind == "IdentityCenterUser" and identity.on_behalf_of:
        return identity.on_behalf_of
    if kind in {"SAMLUser", "WebIdentityUser"}:
        provider = identity.provider.rstrip("/")
        return "/".join(filter(None, (provider, identity.user_name))) or _fallback(identity)
    if kind == "AWSService" and identity.invoked_by:
        return identity.invoked_by
    if kind == "AWSAccount":
        principal = identity.principal.partition(":")[0]
        return "/".join(filter(None, (identity.account, principal))) or _fallback(identity)
    return identity.arn or _fallback(identity)


def _issued(identity: Identity) -> str:
    """Return the entity of a session that a role or a user issued."""
    head, _, session = identity.arn.rpartition("/")
    if "@" in session or "/AWSReservedSSO_" in head:
        return identity.arn
    if identity.issuer_arn:
        return identity.issuer_arn
    if ":assumed-role/" in head:  # the same role, as IAM spells it
        return head.replace(":sts:", ":iam:").replace(":assumed-role/", ":role/")
    return identity.arn


def _fallback(identity: Identity) -> str:
    """Name the entity by what little the event says."""
    if identity.user_name and identity.account:
        # Also HIDDEN_DUE_TO_SECURITY_REASONS: sign-in attempts under names that do not exist.
        return f"arn:aws:iam::{identity.account}:user/{identity.user_name}"
    principal = identity.principal.partition(":")[0]
    return identity.user_name or identity.invoked_by or principal or identity.account
