"""What sshd, sudo, su, cron, login, systemd-logind, PAM and shadow's programs say in words.

Sources: the messages' own format strings in OpenSSH (auth.c, auth2.c, packet.c), sudo
(logging), util-linux (su, login), shadow (useradd.c …), Linux-PAM (pam_unix), cronie and
systemd (logind-session.c).
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from schemas.ocsf import (
    ACCOUNT_CHANGE,
    AUTHENTICATION,
    BASE_EVENT,
    EVENT_LOG_ACTIVITY,
    GROUP_MANAGEMENT,
    OTHER,
    PROCESS_ACTIVITY,
    SCHEDULED_JOB_ACTIVITY,
    SSH_ACTIVITY,
)

#: Operation of a message that says that auditing is blind.
AUDIT_LOST: Final = "audit records lost"
UNKNOWN, SUCCESS, FAILURE = 0, 1, 2
LOGON, LOGOFF, SWITCH = 1, 2, 7
_OPEN, _CLOSE, _FAIL, _TRAFFIC = 1, 2, 4, 6


class Meaning(NamedTuple):
    """What a message means.

    Attributes
    ----------
    class_uid, activity_id, status_id
        Of OCSF.
    operation
        What was done, in a word or two that do not change from message to message.
    found
        What the words name: ``user`` (who it was done to, or who signs in), ``by`` (who did
        it), ``ip``, ``port``, ``method``, ``command``, ``pwd``, ``tty``, ``group``, ``uid``,
        ``by_uid``, ``gid``, ``home``, ``shell``, ``error``, ``session``, ``key``, ``rhost``.
    """

    class_uid: int
    activity_id: int
    status_id: int
    operation: str
    found: dict[str, str]


_Row = tuple[str, int, int, int, str]
_IP: Final = r"(?P<ip>[0-9a-fA-F:.]{3,45}|UNKNOWN)"
_FROM: Final = rf" from {_IP}(?: port (?P<port>\d{{1,5}}))?"
_PAM: Final[tuple[_Row, ...]] = (
    (
        r"pam_unix\((?P<service>su|su-l|sudo|sudo-i|runuser|polkit-1|doas)[:-][^)]*\): session "
        r"opened for user (?P<user>[^\s(]+)(?:\(uid=(?P<uid>\d+)\))? "
        r"by (?P<by>[^\s(]*)\(uid=(?P<by_uid>\d+)\)",
        *(AUTHENTICATION, SWITCH, SUCCESS, "session opened"),
    ),
    (
        r"pam_\w+\((?P<service>[^:)]+)[^)]*\): session opened for user (?P<user>[^\s(]+)"
        r"(?:\(uid=(?P<uid>\d+)\))? by (?P<by>[^\s(]*)\(uid=(?P<by_uid>\d+)\)",
        *(AUTHENTICATION, LOGON, SUCCESS, "session opened"),
    ),
    (
        r"pam_\w+\((?P<service>[^:)]+)[^)]*\): session closed for user (?P<user>\S+)",
        *(AUTHENTICATION, LOGOFF, SUCCESS, "session closed"),
    ),
    (
        r"(?:pam_\w+\((?P<service>[^:)]+)[^)]*\): authentication failure;|PAM \d+ more "
        r"authentication failures?;) logname=(?P<by>\S*) .*?tty=(?P<tty>\S*) ruser=\S* "
        r"rhost=(?P<rhost>\S*)(?: +user=(?P<user>\S+))?",
        *(AUTHENTICATION, LOGON, FAILURE, "authentication failure"),
    ),
    (
        r"pam_\w+\((?P<service>[^:)]+)[^)]*\): password changed for (?P<user>\S+)",
        *(ACCOUNT_CHANGE, 3, SUCCESS, "password changed"),
    ),
    (
        r"pam_succeed_if\((?P<service>[^:)]+)[^)]*\): (?P<error>requirement .* not met) by user "
        r'"(?P<user>[^"]*)"',
        *(AUTHENTICATION, LOGON, FAILURE, "requirement not met"),
    ),
    (
        r"pam_\w+\((?P<service>[^:)]+)[^)]*\): check pass; user unknown",
        *(AUTHENTICATION, LOGON, FAILURE, "authentication failure"),
    ),
)
# Names are the client's choice and may hold " from 192.0.2.1": the last address is sshd's own.
_SSHD: Final[tuple[_Row, ...]] = (
    (
        rf"Accepted (?P<method>\S+) for (?P<user>.*){_FROM}(?: ssh2)?(?:: (?P<key>.*))?$",
        *(AUTHENTICATION, LOGON, SUCCESS, "Accepted"),
    ),
    (
        rf"Failed (?P<method>\S+) for (?:invalid user |illegal user )?(?P<user>.*){_FROM}",
        *(AUTHENTICATION, LOGON, FAILURE, "Failed"),
    ),
    (
        rf"(?:Invalid|Illegal) user (?P<user>.*){_FROM}",
        *(AUTHENTICATION, LOGON, FAILURE, "Invalid user"),
    ),
    (
        r"error: PAM: Authentication failure for (?:illegal user )?(?P<user>\S+) "
        r"from (?P<rhost>\S+)",
        *(AUTHENTICATION, LOGON, FAILURE, "authentication failure"),
    ),
    (
        r"(?:error: )?maximum authentication attempts exceeded for (?:invalid user )?"
        rf"(?P<user>.*){_FROM}",
        *(AUTHENTICATION, LOGON, FAILURE, "too many failures"),
    ),
    (
        r"User (?P<user>\S+) from \S+ not allowed because (?P<error>.*)",
        *(AUTHENTICATION, LOGON, FAILURE, "not allowed"),
    ),
    (
        rf"Did not receive identification string{_FROM}",
        *(SSH_ACTIVITY, _FAIL, FAILURE, "Did not receive identification string"),
    ),
    (
        rf"(?:error: )?kex_exchange_identification: (?P<error>.*)|Bad protocol version .*?{_FROM}",
        *(SSH_ACTIVITY, _FAIL, FAILURE, "no key exchange"),
    ),
    (
        r"(?:subsystem request for (?P<method>\S+)|Starting session: .*?) (?:by user|for) "
        rf"(?P<user>\S+)(?:{_FROM})?",
        *(SSH_ACTIVITY, _TRAFFIC, SUCCESS, "session"),
    ),
    (
        rf"Connection{_FROM} on ",
        *(SSH_ACTIVITY, _OPEN, UNKNOWN, "Connection"),
    ),
    (
        r"(?:Connection (?:closed|reset) by|Disconnected from|Received disconnect from)"
        rf"(?: (?:authenticating|invalid)? ?user (?P<user>\S*))? {_IP}(?: port (?P<port>\d+))?",
        *(SSH_ACTIVITY, _CLOSE, UNKNOWN, "disconnected"),
    ),
    *_PAM,
)
_SUDO: Final[tuple[_Row, ...]] = (
    (
        r"\s*(?P<by>\S+) : (?:(?P<error>[^;=]+?) ; )?TTY=(?P<tty>\S+) ; PWD=(?P<pwd>.*?) ; "
        r"USER=(?P<user>\S*)(?: ; GROUP=(?P<group>\S+))?(?: ; TSID=\S+)?(?: ; ENV=.*?)? ; "
        r"COMMAND=(?P<command>.*)",
        *(PROCESS_ACTIVITY, _OPEN, SUCCESS, "sudo"),
    ),
    *_PAM,
)
_SU: Final[tuple[_Row, ...]] = (
    (
        r"Successful su for (?P<user>\S+) by (?P<by>\S+)",
        *(AUTHENTICATION, SWITCH, SUCCESS, "su"),
    ),
    (
        r"FAILED (?:su|SU) (?:for |\(to )(?P<user>[^\s)]+)\)?(?: by)? (?P<by>\S+)",
        *(AUTHENTICATION, SWITCH, FAILURE, "su"),
    ),
    (
        r"\(to (?P<user>[^)]+)\) (?P<by>\S+) on (?P<tty>\S+)",
        *(AUTHENTICATION, SWITCH, SUCCESS, "su"),
    ),
    (
        r"\+ (?P<tty>\S+) (?P<by>[^:\s]+):(?P<user>\S+)",
        *(AUTHENTICATION, SWITCH, SUCCESS, "su"),
    ),
    (
        r"- (?P<tty>\S+) (?P<by>[^:\s]+):(?P<user>\S+)",
        *(AUTHENTICATION, SWITCH, FAILURE, "su"),
    ),
    *_PAM,
)
_CRON: Final[tuple[_Row, ...]] = (
    (
        r"\((?P<user>[^)]+)\) (?:CMD|RUN) \((?P<command>.*)\)",
        *(SCHEDULED_JOB_ACTIVITY, 6, SUCCESS, "CMD"),
    ),
    (
        r"\((?P<by>[^)]+)\) (?:REPLACE|END EDIT) \((?P<user>[^)]+)\)",
        *(SCHEDULED_JOB_ACTIVITY, 2, SUCCESS, "REPLACE"),
    ),
    (
        r"\((?P<by>[^)]+)\) DELETE \((?P<user>[^)]+)\)",
        *(SCHEDULED_JOB_ACTIVITY, 3, SUCCESS, "DELETE"),
    ),
    *_PAM,
)
_SHADOW: Final[tuple[_Row, ...]] = (
    (
        r"new user: name=(?P<user>[^,]+), UID=(?P<uid>\d+), GID=(?P<gid>\d+), "
        r"home=(?P<home>[^,]*), shell=(?P<shell>[^,]*)",
        *(ACCOUNT_CHANGE, 1, SUCCESS, "new user"),
    ),
    (
        r"(?:failed adding|failed to add) user '(?P<user>[^']+)'(?:, (?P<error>.*))?",
        *(ACCOUNT_CHANGE, 1, FAILURE, "new user"),
    ),
    (r"delete user '(?P<user>[^']+)'", *(ACCOUNT_CHANGE, 6, SUCCESS, "delete user")),
    (
        r"change user '(?P<user>[^']+)' password",
        *(ACCOUNT_CHANGE, 4, SUCCESS, "change user password"),
    ),
    (r"lock user '(?P<user>[^']+)' password", *(ACCOUNT_CHANGE, 9, SUCCESS, "lock user")),
    (r"unlock user '(?P<user>[^']+)' password", *(ACCOUNT_CHANGE, 12, SUCCESS, "unlock user")),
    (r"change user '(?P<user>[^']+)' ", *(ACCOUNT_CHANGE, OTHER, SUCCESS, "change user")),
    (
        r"(?:new group: name=|group added to /etc/group: name=)(?P<group>[^,\s]+), "
        r"GID=(?P<gid>\d+)",
        *(GROUP_MANAGEMENT, 6, SUCCESS, "new group"),
    ),
    (
        r"(?:removed group '|group '(?=[^']+' removed))(?P<group>[^']+)'",
        *(GROUP_MANAGEMENT, 5, SUCCESS, "removed group"),
    ),
    (
        r"(?:add '(?P<user>[^']+)' to (?:shadow )?group|user (?P<user2>\S+) added by (?P<by>\S+) "
        r"to group) '?(?P<group>[^'\s]+)'?",
        *(GROUP_MANAGEMENT, 3, SUCCESS, "add to group"),
    ),
    (
        r"(?:delete '(?P<user>[^']+)' from (?:shadow )?group|user (?P<user2>\S+) removed by "
        r"(?P<by>\S+) from group) '?(?P<group>[^'\s]+)'?",
        *(GROUP_MANAGEMENT, 4, SUCCESS, "delete from group"),
    ),
    *_PAM,
)
_LOGIND: Final[tuple[_Row, ...]] = (
    (
        r"New session (?P<session>\S+) of user (?P<user>\S+?)\.(?:\s|$)",
        *(AUTHENTICATION, LOGON, SUCCESS, "New session"),
    ),
    (
        r"(?:Removed session (?P<session>\S+?)\.|Session (?P<session2>\S+) logged out)",
        *(AUTHENTICATION, LOGOFF, SUCCESS, "Removed session"),
    ),
)
_LOGIN: Final[tuple[_Row, ...]] = (
    (
        r"(?:ROOT )?LOGIN ON (?P<tty>\S+)(?: BY (?P<user>\S+))?(?: FROM (?P<rhost>\S+))?",
        *(AUTHENTICATION, LOGON, SUCCESS, "LOGIN"),
    ),
    (
        r"FAILED LOGIN .*?(?:FROM (?P<rhost>\S+) )?FOR '?(?P<user>[^',]+)'?, (?P<error>.*)",
        *(AUTHENTICATION, LOGON, FAILURE, "FAILED LOGIN"),
    ),
    *_PAM,
)
_LOGGERS: Final[tuple[_Row, ...]] = (
    (
        r".*exiting on signal|.*shutting down|.*syslog-ng shutting down|.*Stopped",
        *(EVENT_LOG_ACTIVITY, 7, SUCCESS, "stop"),
    ),
    (
        r".*\bstart\b|.*starting up|.*restart",
        *(EVENT_LOG_ACTIVITY, 6, SUCCESS, "start"),
    ),
)
#: What the kernel says of audit records that it dropped: kernel/audit.c, audit_log_lost.
_KERNEL: Final[tuple[_Row, ...]] = (
    (
        r"(?:\[ *[\d.]+\] )?audit: (?P<error>audit_lost=(?P<lost>\d+) .*|audit_backlog=\d+ > .*|"
        r"backlog limit exceeded.*|rate limit exceeded.*|kauditd \S+ queue overflow.*)",
        *(EVENT_LOG_ACTIVITY, OTHER, FAILURE, AUDIT_LOST),
    ),
)
_Rows = tuple[tuple[re.Pattern[str], int, int, int, str], ...]


def _compiled(rows: tuple[_Row, ...]) -> _Rows:
    return tuple((re.compile(pattern, re.DOTALL), *rest) for pattern, *rest in rows)  # type: ignore[misc]


_shadow: Final = _compiled(_SHADOW)
_loggers: Final = _compiled(_LOGGERS)
_cron: Final = _compiled(_CRON)
_pam: Final = _compiled(_PAM)
_sshd: Final = _compiled(_SSHD)
#: By program, in lower case.
_BY_APP: Final[dict[str, _Rows]] = {
    **dict.fromkeys(("sshd", "sshd-session", "sshd-auth"), _sshd),
    "sudo": _compiled(_SUDO),
    **dict.fromkeys(("su", "su-l", "runuser"), _compiled(_SU)),
    **dict.fromkeys(("cron", "crond", "crontab", "anacron"), _cron),
    **dict.fromkeys(
        ("useradd", "userdel", "usermod", "groupadd", "groupdel", "groupmod", "adduser"), _shadow
    ),
    **dict.fromkeys(("passwd", "chpasswd", "chage", "chsh", "gpasswd", "newusers"), _shadow),
    "systemd-logind": _compiled(_LOGIND),
    "kernel": _compiled(_KERNEL),
    "login": _compiled(_LOGIN),
    **dict.fromkeys(("rsyslogd", "syslogd", "syslog-ng", "auditd"), _loggers),
}
_NOTHING: Final[dict[str, str]] = {}


def meaning(app: str, text: str) -> Meaning:
    """Return what a program's message means; a Base Event where that is not known."""
    rows = _BY_APP.get(app.lower())
    if rows is None:
        rows = _pam if text.startswith("pam_") else ()
    for pattern, class_uid, activity_id, status_id, operation in rows:
        if match := pattern.match(text):
            found = {name: value for name, value in match.groupdict().items() if value}
            return _told(Meaning(class_uid, activity_id, status_id, operation, found))
    return Meaning(BASE_EVENT, OTHER, UNKNOWN, app or "message", _NOTHING)


def _told(read: Meaning) -> Meaning:
    """Put in order what a pattern alone cannot say."""
    found: dict[str, Any] = read.found
    for name in ("user", "session"):
        if f"{name}2" in found:
            found[name] = found.pop(f"{name}2")
    if read.operation == "sudo" and "error" in found:
        return read._replace(status_id=FAILURE)
    return read
