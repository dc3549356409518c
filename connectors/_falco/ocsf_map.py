"""From an alert of Falco to the evidence of an OCSF Detection Finding.

Which fields an alert has is said by its rule. Without ``proc.pid``, which few rules ask for,
a process is named after its host and program, as OCSF wants a process to have an id.

Source: Falco documentation, "Supported fields for conditions and outputs".
"""

from __future__ import annotations

import re
from typing import Any, Final

from connectors._json.fields import Fields, some
from connectors._json.objects import address, endpoint, port, text, texts, user, uuid, whole
from connectors.base import OCSF, Summary
from schemas.ocsf import DETECTION_FINDING

_TECHNIQUE: Final = re.compile(r"(T\d{4})(\.\d{3})?")
_TACTIC: Final = re.compile(r"TA\d{4}")
_MITRE: Final = "mitre_"
_RULE: Final = {"type": "Rule", "type_id": 1}
#: What Falco writes in place of a value that it could not find out.
NOT_THERE: Final = frozenset({"", "<NA>", "N/A", "null"})
_PIDS: Final = 1 << 31
_NS_TO_MS: Final = 1_000_000


class Output:
    """The fields of an alert, whose names have dots; what is looked at counts as mapped."""

    def __init__(self, fields: Fields) -> None:
        found = fields.record.get("output_fields")
        self._found: dict[str, Any] = found if isinstance(found, dict) else {}
        self._fields = fields

    def get(self, name: str) -> Any:
        """Return the value of a field, or None."""
        self._fields.use(f"output_fields.{name}")
        return self._found.get(name)

    def text(self, *names: str) -> str:
        """Return the first of the fields that says something, as text."""
        for name in names:  # not a generator: this runs thirty times an event
            if (found := text(self.get(name))) not in NOT_THERE:
                return found
        return ""


def objects(fields: Fields, summary: Summary) -> OCSF:
    """Return everything of an alert but the frame."""
    tags = texts(fields.get("tags"))
    host = fields.text("hostname")
    event = some(
        message=fields.text("output") or summary.operation,
        metadata=some(labels=tags, log_name=fields.text("source"), log_source=host),
    )
    if summary.class_uid != DETECTION_FINDING:
        # What Falco says of itself is no finding; its figures stay under ``unmapped``.
        return event
    out = Output(fields)
    evidence = _evidence(out, host)
    return event | some(
        device={"hostname": host, "type": "Unknown", "type_id": 0} if host else None,
        evidences=[evidence] if evidence else None,
        finding_info=some(
            analytic={"name": summary.operation, "category": fields.text("source"), **_RULE},
            attacks=attacks(tags),
            created_time=summary.time,
            data_sources=[summary.service],
            desc=fields.text("output"),
            title=summary.operation,
            types=tags,
            uid=summary.native_id or f"{host}/{summary.operation}/{summary.time}",
        ),
        is_alert=True,
        resources=_resources(out),
    )


def attacks(tags: list[str]) -> list[dict[str, Any]]:
    """Return the techniques and tactics of ATT&CK among an alert's tags, each once."""
    found: list[dict[str, Any]] = []
    for tag in dict.fromkeys(tags):
        if match := _TECHNIQUE.fullmatch(tag):
            technique: dict[str, Any] = {"technique": {"uid": match[1]}}
            if match[2]:
                technique["sub_technique"] = {"uid": tag}
            found.append(technique)
        elif _TACTIC.fullmatch(tag):
            found.append({"tactic": {"uid": tag}})
        elif tag.startswith(_MITRE) and len(tag) > len(_MITRE):
            name = tag.removeprefix(_MITRE).replace("_", " ").title().replace(" And ", " and ")
            found.append({"tactic": {"name": name}})
    return found


def _evidence(out: Output, host: str) -> dict[str, Any]:
    found = some(
        actor=some(user=_cloud_user(out)),
        api=_api(out),
        container=_container(out),
        dst_endpoint=_end(out, "s"),
        file=_file(out),
        process=_process(out, host),
        src_endpoint=_end(out, "c") or endpoint(_source(out)),
        user=_user(out),
    )
    # A container alone is no evidence to OCSF.
    return {} if found.keys() <= {"container"} else found


def _source(out: Output) -> str:
    addresses = texts(out.get("ka.sourceips"))
    return address(out.text("ct.srcip")) or next(filter(None, map(address, addresses)), "")


def _user(out: Output) -> dict[str, Any]:
    return user(out.text("user.name"), out.get("user.uid"))


def _cloud_user(out: Output) -> dict[str, Any]:
    """Return who acted where Falco reads an audit log: of Kubernetes, AWS, Okta or GitHub."""
    groups = [{"name": name} for name in texts(out.get("ka.user.groups"))]
    return user(
        out.text("ka.user.name", "ct.user", "okta.actor.alternateID", "github.user"), groups=groups
    )


def _named(out: Output, host: str, kind: str, names: tuple[str, ...]) -> dict[str, Any]:
    """Return a process of which there are the fields `names`: name, path, command line, pid."""
    name, path, line, pid = names
    program, command = out.text(path), out.text(line)
    called = out.text(name) or program.rpartition("/")[2]
    number = whole(out.get(pid), _PIDS)
    if not (called or command or number):
        return {}
    where = out.text("container.id") or host or "unknown"
    base = program.rpartition("/")[2] or called
    return some(
        cmd_line=command,
        file={"name": base, "path": program, "type": "Unknown", "type_id": 0} if program else None,
        name=called,
        pid=number,
        uid=f"{where}/{kind}/{program or called or command}" if number is None else None,
    )


def _process(out: Output, host: str) -> dict[str, Any]:
    found = _named(out, host, "process", ("proc.name", "proc.exepath", "proc.cmdline", "proc.pid"))
    if not found:
        return {}
    parent = _named(
        out, host, "parent", ("proc.pname", "proc.pexepath", "proc.pcmdline", "proc.ppid")
    )
    login = user("", out.get("user.loginuid")) if out.get("user.loginuid") != -1 else {}
    started = whole(out.get("proc.pid.ts"), 1 << 63)
    return found | some(
        created_time=started // _NS_TO_MS if started else None,
        parent_process=parent,
        session=some(terminal=_terminal(out), uid=out.text("proc.sid"), uid_alt=login.get("uid")),
        user=_user(out),
        working_directory=out.text("proc.cwd"),
    )


def _terminal(out: Output) -> str:
    number = out.text("proc.tty")
    return "" if number == "0" else number  # 0 is none


def _file(out: Output) -> dict[str, Any]:
    path = out.text("fs.path.name", "evt.arg.path")
    if not path and out.text("fd.type", "fd.typechar") in ("", "file", "f", "directory", "d"):
        path = out.text("fd.name") if not out.text("fd.sip", "fd.rip") else ""
    if not path.startswith("/") or "->" in path:  # a connection's name is both its ends
        return {}
    kind = ("Folder", 2) if out.text("fd.type") == "directory" else ("Unknown", 0)
    base = path.rstrip("/").rpartition("/")[2]
    return {"name": base or path, "path": path, "type": kind[0], "type_id": kind[1]}


def _end(out: Output, which: str) -> dict[str, Any]:
    """Return the client's (``c``) or server's (``s``) end of a connection."""
    ip = address(out.text(f"fd.{which}ip"))
    name = out.text(f"fd.{which}ip.name")
    if not ip and which == "s":
        ip = address(out.text("fd.rip"))
        name = name or out.text("fd.rip.name")
    number = port(out.text(f"fd.{which}port")) if ip else None
    if number is None and which == "s" and ip:
        number = port(out.text("fd.rport"))
    return endpoint(ip, hostname=name if name != ip else "", port=number) if ip else {}


def _container(out: Output) -> dict[str, Any]:
    uid, name = out.text("container.id"), out.text("container.name")
    if not (uid or name) or uid == "host":
        return {}
    image = out.text("container.image.repository", "container.image")
    tag = out.text("container.image.tag")
    full = f"{image}:{tag}" if tag else image
    pod = uuid(out.text("k8s.pod.uid"))
    return some(
        image=some(name=full, uid=out.text("container.image.id") or full) if full else None,
        name=name,
        orchestrator="Kubernetes" if out.text("k8s.pod.name") else None,
        pod_uuid=pod,
        runtime=out.text("container.type"),
        uid=uid,
    )


def _api(out: Output) -> dict[str, Any]:
    operation = out.text("ka.verb", "ct.name", "okta.evt.type", "github.action")
    if not operation:
        return {}
    answer = whole(out.get("ka.response.code"), 1 << 15)
    return some(
        operation=operation,
        response=some(code=answer, error=out.text("ct.error")),
        service=some(name=out.text("ct.src")),
    )


def _resources(out: Output) -> list[dict[str, Any]]:
    found = [
        some(
            name=out.text("ka.target.name"),
            namespace=out.text("ka.target.namespace"),
            type=out.text("ka.target.resource"),
            uid=out.text("ka.uri"),
        ),
        some(
            name=out.text("k8s.pod.name", "ka.target.pod.name"),
            namespace=out.text("k8s.ns.name"),
            type="pods",
            uid=out.text("k8s.pod.uid"),
        ),
        some(name=out.text("s3.bucket", "ct.request.bucketname"), type="bucket"),
    ]
    return [each for each in found if each.keys() & {"name", "uid"}]
