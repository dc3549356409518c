"""Linux audit records, as the kernel and user space write them to ``audit.log``."""

from __future__ import annotations

from collections.abc import Sequence

UNSET = 4294967295
EXECVE, OPENAT, UNLINKAT, CONNECT = 59, 257, 263, 42


class Log:
    """Writes the events of one host; serial numbers run on as the kernel's do."""

    def __init__(self, node: str) -> None:
        self.node = node
        self._serial = 1000
        self._pid = 2000

    def _start(self, time: float) -> tuple[str, str]:
        """Return the source's own id of a new event, and the head of its records."""
        self._serial += 1
        stamp = f"{time:.3f}:{self._serial}"
        return f"{self.node}:{stamp}", f"msg=audit({stamp}):"

    def command(
        self,
        time: float,
        argv: Sequence[str],
        *,
        uid: int,
        auid: int,
        euid: int | None = None,
        exe: str = "",
        parent: int = 1,
        cwd: str = "/",
        key: str = "exec",
    ) -> tuple[str, bytes]:
        """Return id and records of an execve: SYSCALL, EXECVE, CWD, PATH, PROCTITLE, EOE.

        Parameters
        ----------
        time
            Seconds since the epoch, UTC.
        uid, auid, euid
            Real, login (4294967295 for none) and effective user ids.
        exe
            Full path; by default ``/usr/bin/`` and the first argument.
        """
        path = exe or (argv[0] if argv[0].startswith("/") else f"/usr/bin/{argv[0]}")
        self._pid += 1
        arguments = " ".join(f"a{place}={_text(word)}" for place, word in enumerate(argv))
        lines = (
            self._syscall(EXECVE, path, uid, auid, uid if euid is None else euid, parent, key, 2),
            f"EXECVE|argc={len(argv)} {arguments}",
            f"CWD|cwd={_text(cwd)}",
            f"PATH|item=0 name={_text(path)} inode=1837 dev=08:01 mode=0100755 ouid=0 ogid=0 "
            "rdev=00:00 nametype=NORMAL cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0",
            f"PROCTITLE|proctitle={chr(0).join(argv).encode().hex().upper()}",
        )
        return self._event(time, lines)

    def file(
        self, time: float, path: str, *, exe: str, uid: int, auid: int, key: str, delete: bool
    ) -> tuple[str, bytes]:
        """Return id and records of an open for writing, or of a deletion."""
        self._pid += 1
        number, nametype = (UNLINKAT, "DELETE") if delete else (OPENAT, "NORMAL")
        lines = (
            self._syscall(number, exe, uid, auid, uid, 1, key, 1),
            'CWD|cwd="/"',
            f"PATH|item=0 name={_text(path)} inode=9120 dev=08:01 mode=0100640 ouid=0 ogid=0 "
            f"rdev=00:00 nametype={nametype} cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0",
        )
        return self._event(time, lines)

    def login(self, time: float, uid: int, address: str) -> tuple[str, bytes]:
        """Return id and record of a successful SSH login."""
        self._pid += 1
        detail = (
            f'msg=\'op=login id={uid} exe="/usr/sbin/sshd" hostname={address} addr={address} '
            "terminal=ssh res=success'"
        )
        head = f"pid={self._pid} uid=0 auid={uid} ses={uid % 97}"
        ident, stamp = self._start(time)
        line = f"node={self.node} type=USER_LOGIN {stamp} {head} {detail}"
        return ident, line.encode()

    def _syscall(
        self, number: int, exe: str, uid: int, auid: int, euid: int, parent: int, key: str,
        items: int,
    ) -> str:  # fmt: skip
        session = UNSET if auid == UNSET else auid % 97
        return (
            f"SYSCALL|arch=c000003e syscall={number} success=yes exit=0 a0=55d0c1 a1=55d0c8 "
            f"a2=55d0d0 a3=8 items={items} ppid={parent} pid={self._pid} auid={auid} uid={uid} "
            f"gid={uid} euid={euid} suid={euid} fsuid={euid} egid={uid} sgid={uid} fsgid={uid} "
            f"tty={'pts0' if auid != UNSET else '(none)'} ses={session} "
            f"comm={_text(exe.rsplit('/', 1)[-1][:15])} exe={_text(exe)} key={_text(key)}"
        )

    def _event(self, time: float, lines: Sequence[str]) -> tuple[str, bytes]:
        ident, stamp = self._start(time)
        records = []
        for line in (*lines, "EOE|"):
            kind, _, rest = line.partition("|")
            records.append(f"node={self.node} type={kind} {stamp} {rest}".rstrip())
        return ident, "\n".join(records).encode()


def _text(value: str) -> str:
    """Return an untrusted string as the kernel logs it: quoted, or hex where it must be."""
    if any(char in value for char in ' "') or not value.isprintable() or not value.isascii():
        return value.encode().hex().upper()
    return f'"{value}"'
