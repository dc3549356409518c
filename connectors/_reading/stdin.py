"""Standard input: ``something | sentinel connector run NAME --once``."""

from __future__ import annotations

import os
import secrets
import select
from collections.abc import Iterator
from typing import ClassVar, Final

from connectors._reading.base import Page, Position, Reader, Record
from connectors._reading.lines import Lines
from connectors._reading.paging import Pile

CHUNK: Final = 1 << 20
#: Seconds without input after which what there is goes on.
PATIENCE_S: Final = 0.2
STDIN: Final = 0


class StdinReader(Reader):
    """Lines of standard input, to its end; a record a line.

    What was read cannot be read again: a crash loses at most what was not acknowledged.
    """

    waits: ClassVar[bool] = True

    def __init__(self, settings: object, connector: object) -> None:
        super().__init__(settings, connector)  # type: ignore[arg-type]
        self._name = f"stdin:{secrets.token_hex(6)}"
        self._count = 0
        self._ended = False

    def read(self, position: Position | None) -> Iterator[Page]:
        """Yield lines until the input ends."""
        pile, lines = Pile(), Lines()
        while not self._ended and not self.stopping.is_set():
            if not select.select([STDIN], [], [], PATIENCE_S)[0]:
                if pile:
                    yield pile.page({})
                continue
            data = os.read(STDIN, CHUNK)
            self._ended = not data
            for line, problem in lines.feed(data) if data else lines.rest():
                record = Record(line, f"{self._name}#{self._count}", problem=problem)
                self._count += 1
                if pile.add(record):
                    yield pile.page({})
        if pile:
            yield pile.page({})
        self.stopping.wait(0 if self._ended else PATIENCE_S)
