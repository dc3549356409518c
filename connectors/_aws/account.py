"""Credentials and clients of one AWS account, and what its refusals mean to a person.

Credentials come from where boto3 finds them (environment, profile, instance or pod role,
IAM Identity Center), and, with ``role_arn``, from a role that those may assume; they are
renewed before they expire. No key is a setting.

Source: boto3 guide, "Credentials" and "Retries"; the services' lists of common errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

from pydantic import Field, SecretStr

from connectors._reading.base import Check, DeniedError, ReaderSettings, SourceError

_EXPIRED: Final = {
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "TokenRefreshRequired",
}
_INVALID: Final = {
    "AuthFailure",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "MissingAuthenticationToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_REFUSED: Final = {
    "403",
    "AccessDenied",
    "AccessDeniedException",
    "AllAccessDisabled",
    "AuthorizationError",
    "Forbidden",
    "KMS.AccessDeniedException",
    "OptInRequired",
    "UnauthorizedOperation",
}
_ELSEWHERE: Final = {
    "301",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "PermanentRedirect",
    "TemporaryRedirect",
}
_THROTTLED: Final = re.compile(r"Throttl|SlowDown|TooManyRequests|LimitExceeded|BandwidthLimit")
#: How long to leave a source alone that throttles although the client has waited already.
THROTTLED_S: Final = 20.0


class AwsSettings(ReaderSettings):
    """Settings of every reader of AWS."""

    region: str = Field(
        "", description="AWS region, such as eu-central-1; none: as boto3 finds it."
    )
    profile: str = Field("", description="Profile of ~/.aws/config; none: as boto3 finds it.")
    role_arn: str = Field("", description="Role to assume (ARN), for another account's logs.")
    external_id: SecretStr | None = Field(
        None, description="External id that the trust policy of `role_arn` asks for."
    )
    endpoint_url: str = Field("", description="Endpoint instead of AWS's own (VPC endpoint, test).")
    attempts: int = Field(
        5, ge=1, le=20, description="Attempts of the client library at a request."
    )
    connections: int = Field(
        8, ge=1, le=64, description="Requests at a time, where there can be several."
    )


def client(settings: AwsSettings, service: str, region: str = "") -> Any:
    """Return a boto3 client, safe for use by several threads.

    Raises
    ------
    DeniedError
        No such profile, or no region.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    with refusals("credentials", settings.profile or "the default chain"):
        session = boto3.session.Session(
            botocore_session=_session(),
            profile_name=settings.profile or None,
            region_name=region or settings.region or None,
        )
        if settings.role_arn:
            session = _assumed(session, settings)
        config = Config(
            retries={"mode": "standard", "total_max_attempts": settings.attempts},
            max_pool_connections=settings.connections + 2,
            connect_timeout=10,
            read_timeout=60,
            user_agent_extra="sentinel",
            s3={"addressing_style": "path"} if settings.endpoint_url else None,
        )
        try:
            return session.client(
                service, endpoint_url=settings.endpoint_url or None, config=config
            )
        except (ValueError, BotoCoreError) as error:  # no region, an endpoint that is none
            raise DeniedError(
                f"expected settings for {service} that fit, found: {error}; "
                "set region, and endpoint_url if there is one"
            ) from error


@cache
def _models() -> Any:
    """Return what reads botocore's descriptions of services, once for all clients."""
    from botocore.loaders import create_loader

    return create_loader()


def _session() -> Any:
    from botocore.session import get_session

    session = get_session()
    session.register_component("data_loader", _models())
    return session


def _assumed(session: Any, settings: AwsSettings) -> Any:
    """Return a session with the credentials of a role, renewed by botocore as they expire."""
    import boto3
    from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials

    extra = {"RoleSessionName": "sentinel"}
    if settings.external_id is not None:
        extra["ExternalId"] = settings.external_id.get_secret_value()

    def creator(service: str, **given: Any) -> Any:
        given["endpoint_url"] = settings.endpoint_url or None
        return session.client(service, **given)

    fetcher = AssumeRoleCredentialFetcher(
        creator, session.get_credentials(), settings.role_arn, extra_args=extra
    )
    inner = _session()
    # botocore has no public way to hand such credentials to a session; boto3's own sessions of
    # profiles with role_arn set the same attribute.
    inner._credentials = DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")
    return boto3.session.Session(botocore_session=inner, region_name=session.region_name)


def code_of(error: Any) -> str:
    """Return AWS's code of a refusal, or its HTTP status where it names none."""
    answer = getattr(error, "response", {})
    return str(answer.get("Error", {}).get("Code", ""))


@contextmanager
def refusals(right: str, on: str) -> Iterator[None]:
    """Turn what botocore raises into errors of readers, which name what is missing.

    Parameters
    ----------
    right
        The IAM action that is needed, ``s3:GetObject``.
    on
        What on, as an ARN where there is one.

    Raises
    ------
    DeniedError
        Credentials, rights, region.
    SourceError
        Throttling, 5xx, connections, and whatever else AWS says.
    """
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        NoCredentialsError,
        NoRegionError,
        PartialCredentialsError,
        ProfileNotFound,
    )

    try:
        yield
    except ClientError as error:
        raise told(error, right, on) from error
    except (NoCredentialsError, PartialCredentialsError, ProfileNotFound, NoRegionError) as error:
        raise DeniedError(
            f"expected credentials and a region for {right} on {on}, found: {error}; set "
            "profile, role_arn or region, or give the process a role"
        ) from error
    except BotoCoreError as error:
        raise SourceError(f"{right} on {on}: no answer from AWS: {error}") from error


def told(error: Any, right: str, on: str) -> SourceError:
    """Return the error of readers for a `botocore.exceptions.ClientError`."""
    code = code_of(error)
    said = str(error.response.get("Error", {}).get("Message", ""))[:400]
    found = f"{code}: {said}" if said else code
    if code in _EXPIRED:
        return DeniedError(f"{right} on {on}: the credentials have expired ({found}); renew them")
    if code in _INVALID:
        return DeniedError(
            f"{right} on {on}: AWS does not know the credentials ({found}); check the profile "
            "or environment they come from, and this machine's clock"
        )
    if code in _REFUSED:
        # S3 refuses an object that is encrypted with a key one may not use as it refuses any.
        kms = " and kms:Decrypt on the key, if it is encrypted" if right == "s3:GetObject" else ""
        if "kms:" in said.lower():
            right, kms = "kms:Decrypt", ""
        return DeniedError(f"expected the right {right} on {on}{kms}, found {found}; grant it")
    if code in _ELSEWHERE:
        headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        there = headers.get("x-amz-bucket-region") or error.response["Error"].get("Region", "")
        return DeniedError(
            f"{right} on {on}: wrong region ({found}); "
            + (f"set region to {there}" if there else "set region to the bucket's")
        )
    if _THROTTLED.search(code):
        return SourceError(f"{right} on {on}: throttled ({found})", THROTTLED_S)
    return SourceError(f"{right} on {on}: refused ({found})")


def tried(what: str, attempt: Any) -> Check:
    """Return the check of calling `attempt`, which returns what was found."""
    try:
        return Check(what, ok=True, detail=str(attempt() or ""))
    except SourceError as error:
        return Check(what, ok=False, detail=str(error))


def identity(settings: AwsSettings) -> Check:
    """Return the check of ``sts:GetCallerIdentity``, which needs credentials but no right."""

    def attempt() -> str:
        with refusals("sts:GetCallerIdentity", "*"):
            return str(client(settings, "sts").get_caller_identity()["Arn"])

    return tried("sts:GetCallerIdentity", attempt)
