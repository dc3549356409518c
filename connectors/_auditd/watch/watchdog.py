"""Says when records of a host are missing, as an event among its events.

The kernel numbers every event of a boot. A number that never comes is an event that auditd, its
queue or the way here has lost: an attacker may have flooded the log. The watchdog follows the
numbers (`connectors._auditd.serials`) where lines are read in order, and writes a record of its
own where some are missing::

    node=web-1 type=SENTINEL_LOST msg=audit(1760000002.0000:51): op=lost-records lost=9 first=51 …

It becomes an Event Log Activity of high severity. What the kernel itself says of records that it
dropped ("audit: audit_lost=…", "audit: backlog limit exceeded") is in its log, not in the audit
log: the syslog source reads that.
"""

from __future__ import annotations

from typing import Any, Final

from connectors._auditd.record import Head, head
from connectors._auditd.serials import Gap, Serials

TYPE: Final = "SENTINEL_LOST"
MOST_NODES: Final = 256
"""Hosts followed at a time; the one not heard of for longest is forgotten first."""


class Watchdog:
    """Follows the numbers of the hosts in one input.

    Parameters
    ----------
    state
        What `state` returned before, or None.
    """

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        self._hosts: dict[bytes, Serials] = {}
        for name, (top, newest, gaps, lost) in (state or {}).items():
            found = [Gap(*gap) for gap in gaps]
            self._hosts[name.encode(errors="surrogateescape")] = Serials(top, newest, found, lost)

    def state(self) -> dict[str, Any]:
        """Return what is known, as JSON."""
        return {
            name.decode(errors="surrogateescape"): [
                each.top,
                each.newest,
                [[gap.first, gap.size, gap.since] for gap in each.gaps],
                each.lost,
            ]
            for name, each in self._hosts.items()
        }

    def see(self, line: bytes) -> bytes | None:
        """Take note of a record; return a record that says what is missing, or None."""
        found = head(line)
        if found is None or found.type.startswith(b"DAEMON_"):
            return None  # auditd numbers its own records itself
        host = self._hosts.pop(found.node, None) or Serials()
        self._hosts[found.node] = host
        if len(self._hosts) > MOST_NODES:
            del self._hosts[next(iter(self._hosts))]
        before, first = host.lost, host.gaps[0].first if host.gaps else 0
        host.see(int(found.serial), found.time)
        lost = host.lost - before
        return _said(found, first, lost, host.lost) if lost else None


def _said(found: Head, first: int, lost: int, total: int) -> bytes:
    """Return the record; four digits of a fraction, so that it is nobody else's stamp."""
    node = b"node=%b " % found.node if found.node else b""
    stamp = b"%b.%03d9:%d" % (found.seconds, found.time % 1000, first)
    body = b"op=lost-records lost=%d first=%d total=%d res=failed" % (lost, first, total)
    return b"%btype=%b msg=audit(%b): %b" % (node, TYPE.encode(), stamp, body)
