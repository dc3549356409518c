"""Which OCSF class and activity an audit event is, and the columns of its summary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from connectors._auditd.event import Event
from connectors.base import Summary
from schemas import ocsf

#: Entity of events that name neither host nor user.
NO_NODE: Final = "host"
NO_USER: Final = "kernel"

MAX_INT: Final = 2**31 - 1
_OTHER: Final = ocsf.OTHER
_EINPROGRESS: Final = "-115"


class Class(NamedTuple):
    """An OCSF class and one of its activities."""

    uid: int
    activity: int


def _table(*rows: tuple[int, int, str]) -> dict[str, Class]:
    """Make a table by name from rows of class, activity and names."""
    return {name: Class(uid, act) for uid, act, names in rows for name in names.split()}


_FILE: Final = ocsf.FILE_ACTIVITY
_NET: Final = ocsf.NETWORK_ACTIVITY
_PROC: Final = ocsf.PROCESS_ACTIVITY
_CALLS: Final = _table(
    (_PROC, 1, "execve execveat"),
    (_PROC, 2, "exit exit_group"),
    (_PROC, 3, "process_vm_readv pidfd_open pidfd_getfd"),
    (_PROC, 4, "process_vm_writev"),
    (_PROC, 5, "setuid setreuid setresuid setfsuid setuid32 setreuid32 setresuid32"),
    (_PROC, _OTHER, "setgid setregid setresgid setfsgid setgroups capset prctl personality"),
    (_FILE, 1, "creat link linkat symlink symlinkat mknod mknodat mkdir mkdirat"),
    (_FILE, 2, "read readlink readlinkat"),
    (_FILE, 3, "truncate ftruncate truncate64 write"),
    (_FILE, 4, "unlink unlinkat rmdir"),
    (_FILE, 5, "rename renameat renameat2"),
    (_FILE, 6, "setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr"),
    (_FILE, 6, "utime utimes utimensat futimesat utimensat_time64"),
    (_FILE, 7, "chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat chown32 lchown32"),
    (_FILE, 8, "stat lstat newfstatat statx access faccessat faccessat2 getxattr"),
    (_FILE, 12, "mount move_mount"),
    (_FILE, 13, "umount umount2"),
    (_NET, 1, "connect accept accept4"),
    (_NET, 6, "sendto sendmsg sendmmsg recvfrom recvmsg recvmmsg"),
    (_NET, 7, "listen"),
    (_NET, _OTHER, "bind getpeername getsockname"),
    (ocsf.KERNEL_EXTENSION_ACTIVITY, 1, "init_module finit_module create_module"),
    (ocsf.KERNEL_EXTENSION_ACTIVITY, 2, "delete_module"),
)
_OPENS: Final = frozenset({"open", "openat", "openat2", "open_by_handle_at"})
_KILLS: Final = {"kill": "a1", "tkill": "a1", "tgkill": "a2", "pidfd_send_signal": "a1"}
# Which argument is the process that the call acts on.
_TARGET: Final = {
    "kill": "a0",
    "tkill": "a0",
    "tgkill": "a0",
    "ptrace": "a1",
    "process_vm_readv": "a0",
    "process_vm_writev": "a0",
}
_DEADLY: Final = frozenset("1234678bdef9")
# include/uapi/linux/ptrace.h, in hexadecimal as a0 is recorded
_PTRACE_OPEN: Final = frozenset({"10", "4206"})  # ATTACH, SEIZE
_PTRACE_INJECT: Final = frozenset({"4", "5", "6", "d", "f", "4205"})  # POKE*, SET*REGS

_RECORDS: Final = _table(
    (ocsf.AUTHENTICATION, 1, "USER_LOGIN USER_AUTH USER_START LOGIN"),
    (ocsf.AUTHENTICATION, 2, "USER_LOGOUT USER_END"),
    (ocsf.AUTHENTICATION, _OTHER, "USER_ACCT CRED_ACQ CRED_REFR CRED_DISP USER_ERR GRP_AUTH"),
    (ocsf.AUTHENTICATION, _OTHER, "ANOM_LOGIN_FAILURES ANOM_LOGIN_TIME ANOM_LOGIN_SESSIONS"),
    (ocsf.AUTHENTICATION, _OTHER, "ANOM_LOGIN_ACCT ANOM_LOGIN_LOCATION ANOM_LOGIN_ROOT"),
    (ocsf.ACCOUNT_CHANGE, 1, "ADD_USER"),
    (ocsf.ACCOUNT_CHANGE, 6, "DEL_USER"),
    (ocsf.ACCOUNT_CHANGE, 9, "ACCT_LOCK RESP_ACCT_LOCK RESP_ACCT_LOCK_TIMED"),
    (ocsf.ACCOUNT_CHANGE, 12, "ACCT_UNLOCK RESP_ACCT_UNLOCK_TIMED"),
    (ocsf.ACCOUNT_CHANGE, _OTHER, "USER_MGMT USER_CHAUTHTOK USER_ROLE_CHANGE CHUSER_ID"),
    (ocsf.GROUP_MANAGEMENT, 5, "DEL_GROUP"),
    (ocsf.GROUP_MANAGEMENT, 6, "ADD_GROUP"),
    (ocsf.GROUP_MANAGEMENT, _OTHER, "GRP_MGMT GRP_CHAUTHTOK CHGRP_ID"),
    (ocsf.APPLICATION_LIFECYCLE, 3, "SERVICE_START"),
    (ocsf.APPLICATION_LIFECYCLE, 4, "SERVICE_STOP"),
    (ocsf.APPLICATION_LIFECYCLE, 8, "SOFTWARE_UPDATE"),
    (ocsf.EVENT_LOG_ACTIVITY, 5, "DAEMON_ROTATE"),
    (ocsf.EVENT_LOG_ACTIVITY, 6, "DAEMON_START DAEMON_RESUME"),
    (ocsf.EVENT_LOG_ACTIVITY, 7, "DAEMON_END DAEMON_ABORT"),
    (ocsf.EVENT_LOG_ACTIVITY, _OTHER, "DAEMON_CONFIG DAEMON_RECONFIG DAEMON_ERR CONFIG_CHANGE"),
    (ocsf.EVENT_LOG_ACTIVITY, _OTHER, "SENTINEL_LOST"),
    (_PROC, 1, "USER_CMD EXECVE"),
    (_PROC, 2, "ANOM_ABEND"),
    (_NET, _OTHER, "SOCKADDR"),
    (_FILE, _OTHER, "PATH CWD ANOM_LINK ANOM_CREAT"),
    (ocsf.KERNEL_ACTIVITY, _OTHER, "NETFILTER_CFG SECCOMP BPF"),
    (ocsf.KERNEL_EXTENSION_ACTIVITY, 1, "KERN_MODULE"),
)
_BASE: Final = Class(ocsf.BASE_EVENT, _OTHER)


def _any(*names: str) -> Callable[[Event], bool]:
    """Return a test for events that have one of the fields."""
    return lambda event: any(event.get(name) for name in names)


_REQUIRED: Final[dict[int, Callable[[Event], bool]]] = {
    _PROC: lambda event: pid(event) is not None,
    _FILE: lambda event: any(path.name for path in event.paths) or bool(event.get("path")),
    _NET: lambda event: bool(event.peer and (event.peer.ip or event.peer.path)),
    ocsf.AUTHENTICATION: lambda event: (
        _any("acct", "id")(event) or bool(event.user("auid") or event.user("uid"))
    ),
    ocsf.ACCOUNT_CHANGE: _any("acct", "id"),
    ocsf.GROUP_MANAGEMENT: _any("grp", "new_group", "acct", "id"),
    ocsf.APPLICATION_LIFECYCLE: _any("unit", "sw"),
    ocsf.KERNEL_EXTENSION_ACTIVITY: _any("name", "comm"),
}
# Records that say more than the call in whose course they were written.
_LEADING: Final = frozenset({"CONFIG_CHANGE", "LOGIN", "KERN_MODULE", "ANOM_ABEND"})


def classify(event: Event) -> Class:
    """Return the class and activity of an event.

    Base Event where the records lack what the class requires, as when some were lost.
    """
    found = _class(event)
    required = _REQUIRED.get(found.uid)
    return found if required is None or required(event) else _BASE


def _class(event: Event) -> Class:
    """Return the class and activity that call or record type stand for."""
    reason = event.reason
    if not event.syscall or reason in _LEADING:
        return _record_class(event, reason)
    call = event.call
    if call in _KILLS:
        signal = event.get(_KILLS[call])
        return Class(_PROC, 2 if signal in _DEADLY else _OTHER)
    if call == "ptrace":
        return Class(_PROC, _traced(event.get("a0")))
    known = Class(_FILE, _opened(event)) if call in _OPENS else _CALLS.get(call)
    if known is None:
        return Class(_FILE, _OTHER) if event.paths else Class(ocsf.KERNEL_ACTIVITY, 4)
    if known.uid == _NET and not _REQUIRED[_NET](event):
        return Class(ocsf.KERNEL_ACTIVITY, 4)
    if known.uid == _FILE and not _REQUIRED[_FILE](event):
        return Class(ocsf.KERNEL_ACTIVITY, 4)
    if call == "connect" and event.success is False and event.get("exit") != _EINPROGRESS:
        return Class(_NET, 4)
    return known


def _record_class(event: Event, kind: str) -> Class:
    """Return the class of an event without a system call."""
    known = _RECORDS.get(kind, _BASE)
    operation = event.get("op")
    if kind == "USER_CHAUTHTOK" and ("chauthtok" in operation or "password" in operation):
        return Class(known.uid, 3)
    if kind == "CONFIG_CHANGE" and event.get("audit_enabled"):
        return Class(known.uid, 10 if event.get("audit_enabled") == "0" else 9)
    if kind == "USER_MGMT" and "group" in operation and event.get("grp"):
        return Class(ocsf.GROUP_MANAGEMENT, 4 if "delete" in operation else 3)
    return known


def _opened(event: Event) -> int:
    """Return whether an open created, may change, or only reads."""
    if any(path.kind == "CREATE" for path in event.paths):
        return 1
    return 3 if open_flags(event) & 0o3 else 14


def open_flags(event: Event) -> int:
    """Return the flags of an ``open`` or ``openat``; 0 where they are not in the record."""
    place = {"open": "a1", "openat": "a2", "open_by_handle_at": "a2"}.get(event.call)
    try:
        return int(event.get(place), 16) if place else 0
    except ValueError:
        return 0


def _traced(request: str) -> int:
    """Return what a ptrace request does to the other process."""
    if request in _PTRACE_OPEN:
        return 3
    return 4 if request in _PTRACE_INJECT else _OTHER


def status(event: Event) -> int:
    """Return 1 success, 2 failure, 0 unknown; a connection under way is a success."""
    if event.success is None:
        return 0
    return 1 if event.success or event.get("exit") == _EINPROGRESS else 2


def severity(event: Event, found: Class) -> int:
    """Return the OCSF severity: 4 for lost records, 3 for anomalies, 2 for denials, else 1."""
    reason = event.reason
    if reason == "SENTINEL_LOST":
        return 4
    if reason.startswith("ANOM_") or (
        found.uid == ocsf.EVENT_LOG_ACTIVITY and found.activity in {7, 10}
    ):
        return 3
    denied = reason in {"AVC", "USER_AVC", "SECCOMP", "SELINUX_ERR"}
    failed = found.uid == ocsf.AUTHENTICATION and status(event) == 2
    return 2 if denied or failed else 1


def number(value: str) -> int | None:
    """Return a number that OCSF's integer can hold, else None."""
    if value.isascii() and value.isdecimal() and len(value) < 11 and int(value) <= MAX_INT:
        return int(value)
    return None


def pid(event: Event) -> int | None:
    """Return the process that the event is about: the traced or signalled one, else the acting."""
    place = _TARGET.get(event.call)
    if place:
        target = event.of("OBJ_PID")
        named = target.fields.get("opid", "") if target else _decimal(event.get(place))
        if number(named):
            return number(named)
    return number(event.get("pid"))


def _decimal(argument: str) -> str:
    """Return an argument of a call, which is hexadecimal, in decimal; ``""`` where it is none."""
    try:
        return str(int(argument, 16))
    except ValueError:
        return ""


def acting_user(event: Event) -> str:
    """Return who acts: the login user, which su and sudo do not change, else the effective."""
    return event.user("auid") or event.user("uid") or NO_USER


def operation(event: Event) -> str:
    """Return the program that acts, else the operation that a record names, else its type."""
    return event.exe or event.get("op") or event.reason


def remote_ip(event: Event) -> str:
    """Return the address of the other side, where the event has one."""
    address = event.get("addr")
    if address:
        return address
    return event.peer.ip if event.peer else ""


def summarise(event: Event) -> Summary:
    """Return the columns that travel downstream."""
    found = classify(event)
    service = event.call if event.syscall else event.reason
    client = event.get("terminal") or event.get("tty") or event.get("comm")
    return Summary(
        event.native_id,
        event.time,
        found.uid,
        found.activity,
        status(event),
        severity(event, found),
        f"{event.node or NO_NODE}/{acting_user(event)}",
        operation(event),
        service,
        remote_ip(event),
        client,
        event.node,
    )
