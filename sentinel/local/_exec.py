"""Become a child process: drop privileges, die with the parent, then run the command.

Run as a script (``python -I -S _exec.py OPTIONS COMMAND…``) by `sentinel.local.process`,
between fork and exec, where Python's own ``preexec_fn`` could deadlock a threaded parent.
It imports nothing of ours so that it costs some ten milliseconds.

The options are JSON: ``parent`` (its pid), ``death_signal`` (sent by the kernel when the
parent's thread ends, prctl(2) PR_SET_PDEATHSIG, Linux only), and ``uid`` and ``gid`` or
null. A user that owns only its data directory cannot pass through a parent directory of
mode 0700, such as root's home or a temporary directory, so the right to search and read
(CAP_DAC_READ_SEARCH, else CAP_DAC_OVERRIDE, capabilities(7)) is kept as an ambient
capability; everything else root has is given up.
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
import sys

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 47, 2
CAPABILITY_VERSION_3 = 0x20080522
PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP = 28, 1 << 2
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_SETPCAP = 1, 2, 8


def _call(function: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{function}: {os.strerror(error)}")


def _permitted() -> int:
    """Return the permitted capabilities below 32 as a bit mask."""
    header = ctypes.create_string_buffer(struct.pack("Ii", CAPABILITY_VERSION_3, 0))
    data = ctypes.create_string_buffer(24)
    _call("capget", header, data)
    return int(struct.unpack("6I", data.raw)[1])


def _drop(uid: int, gid: int) -> None:
    """Become `uid`; on Linux keep, of root's rights, only that to reach files."""
    linux = sys.platform == "linux"
    keep = 0
    if linux:
        have = _permitted()
        keep = next((c for c in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE) if have >> c & 1), 0)
        _call("prctl", PR_SET_KEEPCAPS, 1, 0, 0, 0)
        if have >> CAP_SETPCAP & 1:
            # or access(2), which Java asks before it opens a file, denies what open(2) grants
            _call("prctl", PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if linux:
        header = ctypes.create_string_buffer(struct.pack("Ii", CAPABILITY_VERSION_3, 0))
        mask = 1 << keep if keep else 0
        data = ctypes.create_string_buffer(struct.pack("6I", mask, mask, mask, 0, 0, 0))
        _call("capset", header, data)
        if keep:
            _call("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, keep, 0, 0)


def main() -> None:
    """Apply the options, then replace this process by the command."""
    options = json.loads(sys.argv[1])
    command = sys.argv[2:]
    os.umask(0o077)
    if options["uid"] is not None:
        _drop(options["uid"], options["gid"])
    if sys.platform == "linux":
        # after the change of user, which would clear it
        _call("prctl", PR_SET_PDEATHSIG, options["death_signal"], 0, 0, 0)
    if os.getppid() != options["parent"]:
        sys.exit("the supervisor is gone")
    os.execv(command[0], command)  # noqa: S606 # the command comes from our own supervisor


if __name__ == "__main__":
    main()
