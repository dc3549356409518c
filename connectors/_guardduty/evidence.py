"""What GuardDuty saw: an API call, a connection, a name looked up, a process, a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from connectors._findings.frame import MOST, inside, word
from connectors._json.fields import MAX_DATA, Fields, compact, some
from connectors._json.objects import address
from connectors.base import OCSF

_PORT: Final = 65_535
_DIRECTIONS: Final = {"INBOUND": (1, "Inbound"), "OUTBOUND": (2, "Outbound")}


def evidences(fields: Fields) -> list[OCSF]:
    """Return the evidences of a finding, those that say anything."""
    action = fields.get("service.action")
    found = [
        *_api_call(inside(action, "awsApiCallAction")),
        *_connection(inside(action, "networkConnectionAction")),
        *_probes(inside(action, "portProbeAction")),
        *_name(inside(action, "dnsRequestAction")),
        *_kubernetes(inside(action, "kubernetesApiCallAction")),
        *_login(inside(action, "rdsLoginAttemptAction")),
        *_process(fields.get("service.runtimeDetails.process")),
    ]
    text = compact(action) if action else ""
    if 0 < len(text) <= MAX_DATA:  # all of it, since no object has a place for everything
        found = [{**(found[0] if found else {}), "data": text}, *found[1:]]
    return found[:MOST]


_BY_TYPE: Final = {
    "AWS_API_CALL": "awsApiCallAction",
    "KUBERNETES_API_CALL": "kubernetesApiCallAction",
    "NETWORK_CONNECTION": "networkConnectionAction",
    "PORT_PROBE": "portProbeAction.portProbeDetails",
    "RDS_LOGIN_ATTEMPT": "rdsLoginAttemptAction",
}
_PATHS: Final = {
    kind: tuple(
        f"service.action.{action}.remoteIpDetails.ipAddress{version}" for version in ("V4", "V6")
    )
    for kind, action in _BY_TYPE.items()
}
TYPE: Final = "service.action.actionType"
#: Where the address at the other end of what was done may be.
REMOTES: Final = tuple(path for paths in _PATHS.values() for path in paths)


def remote(get: Callable[[str], Any]) -> str:
    """Return the address at the other end, by what is at `TYPE` and `REMOTES`; or empty."""
    kind = get(TYPE)
    for path in _PATHS.get(kind, ()) if kind.__class__ is str else ():
        found = get(path)
        if found is not None and (ip := address(_one(found))):
            return ip
    return ""


def _one(value: Any) -> Any:
    """Return the first of a list, or what stands in its place."""
    return value[0] if value.__class__ is list and value else value


def malware(fields: Fields) -> list[OCSF]:
    """Return what a scan of volumes found, by name."""
    base = "service.ebsVolumeScanDetails.scanDetections.threatDetectedByName.threatNames"
    listed = fields.get(base)
    items = listed[:MOST] if isinstance(listed, list) else ()
    names = [name for item in items if (name := word(inside(item, "name")))]
    return [{"classification_ids": [0], "name": name} for name in names]


def _endpoint(details: Any, port: Any = None, domain: Any = None) -> OCSF:
    """Return an endpoint of ``remoteIpDetails`` or ``localIpDetails``."""
    number = inside(port, "port")
    place = inside(details, "geoLocation")
    lat, long = inside(place, "lat"), inside(place, "lon")
    known = all(
        isinstance(each, int | float) and not isinstance(each, bool) for each in (lat, long)
    )
    city, country = word(inside(details, "city", "cityName")), _country(details)
    organisation = inside(details, "organization")
    asn = word(inside(organisation, "asn"))
    system = some(
        name=word(inside(organisation, "asnOrg")),
        number=int(asn) if asn.isdecimal() and asn.isascii() and len(asn) < 10 else None,
    )
    return some(
        autonomous_system=system,
        domain=word(inside(domain, "domain")),
        ip=address(inside(details, "ipAddressV4")) or address(inside(details, "ipAddressV6")),
        isp=word(inside(organisation, "isp")),
        location=some(city=city, country=country, **({"lat": lat, "long": long} if known else {}))
        if city or country
        else None,
        port=number if number.__class__ is int and 0 < number <= _PORT else None,
        svc_name=name if (name := word(inside(port, "portName"))) != "Unknown" else "",
    )


def _country(details: Any) -> str:
    return word(inside(details, "country", "countryName"))


def _named(end: OCSF) -> OCSF | None:
    """Return an endpoint if it is enough to be one."""
    return end if end.keys() & {"ip", "domain", "svc_name"} else None


def _api_call(call: Any) -> Iterator[OCSF]:
    operation = word(inside(call, "api"))
    if not operation:
        return
    error = word(inside(call, "errorCode"))
    source = _named(_endpoint(inside(call, "remoteIpDetails"), None, inside(call, "domainDetails")))
    service = word(inside(call, "serviceName"))
    yield some(
        api=some(
            operation=operation,
            response=some(error=error),
            service=some(name=service),
        ),
        http_request=some(user_agent=word(inside(call, "userAgent"))),
        src_endpoint=source,
    )


def _connection(seen: Any) -> Iterator[OCSF]:
    if not isinstance(seen, dict):
        return
    local = _named(_endpoint(seen.get("localIpDetails"), seen.get("localPortDetails")))
    there = _named(_endpoint(seen.get("remoteIpDetails"), seen.get("remotePortDetails")))
    direction = _DIRECTIONS.get(word(seen.get("connectionDirection")), (0, "Unknown"))
    ends = (there, local) if direction[0] == 1 else (local, there)
    yield some(
        connection_info=some(
            direction=direction[1],
            direction_id=direction[0],
            protocol_name=word(seen.get("protocol")).lower(),
        ),
        dst_endpoint=ends[1],
        src_endpoint=ends[0],
    )


def _probes(seen: Any) -> Iterator[OCSF]:
    listed = inside(seen, "portProbeDetails")
    for item in listed[:MOST] if isinstance(listed, list) else ():
        local = _endpoint(inside(item, "localIpDetails"), inside(item, "localPortDetails"))
        found = some(
            dst_endpoint=_named(local),
            src_endpoint=_named(_endpoint(inside(item, "remoteIpDetails"))),
        )
        if found:
            yield found


def _name(seen: Any) -> Iterator[OCSF]:
    if domain := word(inside(seen, "domain")):
        yield {"query": {"hostname": domain}}


def _kubernetes(call: Any) -> Iterator[OCSF]:
    verb = word(inside(call, "verb"))
    if not verb:
        return
    path = word(inside(call, "requestUri"))
    yield some(
        api={"operation": verb, "service": {"name": "kubernetes"}},
        http_request=some(
            url=some(path=path),
            user_agent=word(inside(call, "userAgent")),
        ),
        src_endpoint=_named(_endpoint(inside(call, "remoteIpDetails"))),
    )


def _login(seen: Any) -> Iterator[OCSF]:
    there = _named(_endpoint(inside(seen, "remoteIpDetails")))
    listed = inside(seen, "loginAttributes")
    items = listed[:MOST] if isinstance(listed, list) else ()
    names = [name for item in items if (name := word(inside(item, "user")))]
    for name in dict.fromkeys(names):
        yield some(src_endpoint=there, user={"name": name})
    if there and not names:
        yield {"src_endpoint": there}


def _process(seen: Any) -> Iterator[OCSF]:
    pid, uid = inside(seen, "pid"), word(inside(seen, "uuid"))
    known = pid.__class__ is int and 0 <= pid < 2**31
    if not (known or uid):
        return
    path, user = word(inside(seen, "executablePath")), word(inside(seen, "user"))
    name = path.rpartition("/")[2]
    digest = word(inside(seen, "executableSha256"))
    hashes = [{"algorithm": "SHA-256", "algorithm_id": 3, "value": digest}] if digest else None
    file = some(hashes=hashes, name=name, path=path, type="Regular File", type_id=1)
    yield {
        "process": some(
            file=file if name else None,
            name=word(inside(seen, "name")),
            pid=pid if known else None,
            uid=uid,
            user=some(name=user),
            working_directory=word(inside(seen, "pwd")),
        )
    }
