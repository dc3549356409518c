"""Which serial numbers of a host never arrived: how many events auditd or the way lost."""

from __future__ import annotations

from typing import Final

import msgspec

_MODULUS: Final = 2**32  # the kernel's counter is an unsigned int and rolls over
_BOOT: Final = 1_000_000  # a jump this far is a new boot, no loss
_MAX_GAPS: Final = 64
_WAIT_MS: Final = 2000


class Gap(msgspec.Struct, array_like=True):
    """Serials `first` … `first + size - 1` are missing since event time `since` (ms)."""

    first: int
    size: int
    since: int


class Serials(msgspec.Struct, array_like=True):
    """The serials of one host: highest seen, what is missing below it, what is lost.

    A missing serial counts as lost when 2 s of event time have passed, or when more than
    64 gaps are open. The counter rolls over at 2**32; going back, or ahead by more than a
    million, is a new boot. Records older than the newest by more than those 2 s are a log
    read once more, and are not counted.
    """

    top: int = -1
    newest: int = 0
    gaps: list[Gap] = []
    lost: int = 0

    def see(self, serial: int, time: int) -> None:
        """Take note of the serial of a record with event time `time`, milliseconds."""
        if time + _WAIT_MS < self.newest:
            return
        self.newest = max(self.newest, time)
        if self.gaps:
            self._age(time)
        if serial == self.top:
            return
        ahead = (serial - self.top) % _MODULUS
        if self.top < 0 or ahead == 1:
            self.top = serial
        elif ahead <= _BOOT:
            self.gaps.append(Gap((self.top + 1) % _MODULUS, ahead - 1, time))
            self.top = serial
        elif ahead >= _MODULUS - _BOOT and self._fill(serial):
            return
        elif ahead < _MODULUS - 4 * _MAX_GAPS:
            self.top = serial

    def _age(self, time: int) -> None:
        """Give up on gaps that have waited long enough."""
        while self.gaps and (time - self.gaps[0].since >= _WAIT_MS or len(self.gaps) > _MAX_GAPS):
            self.lost += self.gaps.pop(0).size

    def _fill(self, serial: int) -> bool:
        """Take `serial` out of the gap that it is in; tell whether there was one."""
        for index, gap in enumerate(self.gaps):
            place = (serial - gap.first) % _MODULUS
            if place < gap.size:
                parts = [
                    Gap(gap.first, place, gap.since),
                    Gap((serial + 1) % _MODULUS, gap.size - place - 1, gap.since),
                ]
                self.gaps[index : index + 1] = [part for part in parts if part.size]
                return True
        return False
