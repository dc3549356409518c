"""From a resource log of Azure (Key Vault, storage, SQL audit, any other) to OCSF objects."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from connectors._azure.activity import who
from connectors._azure.objects import cloud, resource, subscription
from connectors._azure.operations import classify as manager_operation
from connectors._json.fields import Fields, some
from connectors._json.objects import email, text, whole
from connectors._json.records import inside, said, source, took
from connectors.base import OCSF, Summary
from schemas.ocsf import API_ACTIVITY, DATASTORE_ACTIVITY, OTHER

_READ, _UPDATE, _CONNECT, _QUERY, _WRITE, _CREATE, _DELETE, _LIST = range(1, 9)
_STORAGE: Final = (
    (re.compile("list"), _LIST),
    (re.compile("get|read|query|preflight|lookup"), _READ),
    (re.compile("delete|erase"), _DELETE),
    (re.compile("create"), _CREATE),
    (re.compile("put|append|copy|write|insert|upload|flush|rename"), _WRITE),
    (re.compile("set|update|merge|lease|acquire|renew|break|change|undelete|snapshot"), _UPDATE),
)
_SQL: Final = (
    (re.compile("database authentication|login|logout|logon"), _CONNECT),
    (re.compile("batch|rpc|select|execute"), _QUERY),
    (re.compile("insert"), _WRITE),
    (re.compile("update|alter|grant|revoke|deny|change"), _UPDATE),
    (re.compile("create"), _CREATE),
    (re.compile("delete|drop"), _DELETE),
)
_VAULT: Final = (  # a vault's operations name the thing first: SecretGet, KeyDecrypt
    (re.compile("get|list|backup|verify|sign|decrypt|encrypt|wrap|unwrap"), 2),
    (re.compile("create|import|set|restore"), 1),
    (re.compile("delete|purge"), 4),
    (re.compile("update|patch|recover|rotate|enable|disable"), 3),
)
_BLOB, _RELATIONAL, _UNKNOWN = 2, 1, 0


@lru_cache(maxsize=8192)
def classify(category: str, operation: str) -> tuple[int, int]:
    """Return ``class_uid`` and ``activity_id`` of an operation of a category of logs."""
    kind, name = category.lower(), operation.lower()
    if kind.startswith("storage"):
        return DATASTORE_ACTIVITY, _first(_STORAGE, name)
    if kind.startswith(("sqlsecurity", "devopsoperations")):
        return DATASTORE_ACTIVITY, _first(_SQL, name)
    if "/" in operation:
        return API_ACTIVITY, manager_operation(operation)[1]
    words = re.sub(r"^(vault|secret|key|certificate|managed|storage)+", "", name) or name
    return API_ACTIVITY, _first(_VAULT, words)


def _first(table: tuple[tuple[re.Pattern[str], int], ...], name: str) -> int:
    return next((activity for pattern, activity in table if pattern.match(name)), OTHER)


def objects(fields: Fields, summary: Summary) -> OCSF:
    """Return the objects of API Activity or Datastore Activity."""
    uid = said(fields, "resourceId", "_ResourceId", "ResourceId", "resourceid")
    properties = inside(fields, "properties", "Properties")
    actor = _actor(fields, summary)
    event = some(
        actor=actor,
        cloud=cloud(subscription(uid), said(fields, "tenantId", "tenantid"), summary.region),
        dst_endpoint={"svc_name": summary.service or uid or "Azure"},
        http_request=_http(fields, properties, summary),
        message=f"{summary.operation} by {summary.entity or 'unknown'}",
        metadata=some(
            correlation_uid=said(fields, "correlationId", "CorrelationId", "correlationid"),
            log_level=said(fields, "level", "Level"),
            log_name=said(fields, "category", "Category"),
            original_time=said(fields, "time", "TimeGenerated"),
        ),
        src_endpoint=source(summary.src_ip),
        status_code=said(fields, "statusCode", "StatusCode", "httpStatusCode_d")
        or took(properties, "httpStatusCode")
        or said(fields, "resultSignature", "ResultSignature"),
        status_detail=said(fields, "statusText", "StatusText", "resultDescription")
        or said(fields, "ResultDescription"),
    )
    if summary.class_uid == DATASTORE_ACTIVITY:
        return event | _store(fields, properties, uid, summary)
    request = said(fields, "correlationId", "CorrelationId") or summary.native_id
    event["api"] = some(
        operation=summary.operation,
        request=some(uid=request),
        service=some(name=summary.service),
        version=said(fields, "operationVersion", "OperationVersion"),
    )
    rows = [resource(uid, summary.region)] if uid else []
    if asked := took(properties, "id") or said(fields, "id_s"):
        rows.append({"uid": asked, "name": asked.rpartition("/")[2] or asked})
    return event | some(resources=rows)


def _actor(fields: Fields, summary: Summary) -> OCSF:
    claims = inside(fields, "identity.claim", "identity.claims")
    requester = inside(fields, "identity.requester")
    app = took(claims, "appid") or took(requester, "appId")
    app = app or said(fields, "RequesterAppId", "identity_claim_appid_g")
    uid = took(requester, "objectId") or said(fields, "RequesterObjectId")
    name = summary.entity or who(claims) or uid or app
    return some(
        app_uid=app,
        app_name=took(inside(fields, "properties"), "application_name"),
        session=some(uid=text(inside(fields, "properties").pop("session_id", None))),
        user=some(name=name or "unknown", email_addr=email(name), uid=uid),
    )


def _http(fields: Fields, properties: dict[str, Any], summary: Summary) -> OCSF:
    uri = said(fields, "uri", "Uri", "requestUri_s") or took(properties, "requestUri")
    agent = summary.user_agent or took(properties, "clientInfo", "userAgentHeader")
    for name in ("clientInfo", "userAgentHeader"):
        properties.pop(name, None)
    return some(url=some(url_string=uri), user_agent=agent)


def _store(fields: Fields, properties: dict[str, Any], uid: str, summary: Summary) -> OCSF:
    """Return the database, or the bucket and the thing in it."""
    database = took(properties, "database_name")
    if database or "server_instance_name" in properties:
        server = took(properties, "server_instance_name")
        known = some(name=database, uid=uid or server) or {"name": "unknown"}
        table = took(properties, "object_name")
        statement = took(properties, "statement")
        return some(
            database={"type": "Relational", "type_id": _RELATIONAL, **known},
            query_info={"name": summary.operation, "query_string": statement[:8192]}
            if statement
            else None,
            table=some(name=table),
            type="Database",
            type_id=1,
        )
    account = took(properties, "accountName") or said(fields, "AccountName")
    key = took(properties, "objectKey") or said(fields, "ObjectKey")
    size = whole(properties.pop("responseBodySize", None))
    kind = (took(properties, "serviceType") or said(fields, "ServiceType") or "blob").lower()
    blob = kind in ("blob", "dfs")
    bucket = some(
        name=account or "unknown",
        size=size,
        type="Azure Blob" if blob else kind,
        type_id=_BLOB if blob else 99,
        uid=uid,
        file=some(name=key.rpartition("/")[2] or key, path=key) if key else None,
    )
    if "file" in bucket:
        bucket["file"] |= {"type_id": _UNKNOWN}
    return {"databucket": bucket, "type": "Databucket", "type_id": 2}
