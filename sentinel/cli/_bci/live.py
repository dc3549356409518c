"""A live stream of Lab Streaming Layer into ``raw.neural``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

import numpy as np

from bci.block import Block, banks, cut
from bci.formats.lsl import Inlet

#: Longest block, and how long to wait for one, s.
BLOCK_S, PULL_S = 0.05, 0.01
#: Age, s, of samples beyond which those that wait are dropped, as a gap.
MOST_LAG_S: Final = 2.0


def blocks(
    inlet: Inlet, session: str, seconds: float, now_us: int, said: Callable[[str], None]
) -> Iterator[list[Block]]:
    """Yield the blocks of a stream, those of all banks together; at last empty ones.

    Parameters
    ----------
    seconds
        Of the stream until its end; 0: until Ctrl-C.
    said
        Told what was lost.
    """
    length = max(1, round(BLOCK_S * inlet.fs))
    into = banks(session, inlet.fs, now_us, inlet.uv_per_bit, inlet.labels, None)
    most = round(seconds * inlet.fs) if seconds else None
    end = 0
    with suppress(KeyboardInterrupt):
        while most is None or end < most:
            for live in inlet.pull(PULL_S):
                for first in range(0, len(live.samples), length):
                    rows = live.samples[first : first + length]
                    end = live.start + first + len(rows)
                    yield list(cut(into, rows, live.start + first, 0))
                if live.clipped:
                    said(f"{live.clipped} values did not fit 16 bits: raise --uv")
                if live.lag_s > MOST_LAG_S and (lost := inlet.catch_up()):
                    said(f"{live.lag_s:.1f} s behind: dropped {lost} samples that waited")
    yield [Block(bank, end, 0, np.zeros((0, bank.channels), np.int16)) for bank in into]
