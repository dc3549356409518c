"""The thread of one input: read, deliver, wait; after a failure wait longer, and try again."""

from __future__ import annotations

import random
import threading
import time
from datetime import UTC, datetime
from typing import Final

from connectors._reading.base import DeniedError, Page, Position, Reader, SourceError
from connectors._running.config import Input
from connectors._running.delivery import Delivery
from connectors._running.positions import Positions
from sentinel import log, metrics
from sentinel.errors import FencedError, KafkaError, SentinelError
from sentinel.kafka import Producer
from sentinel.metrics import Health
from sentinel.settings import Settings

LOG = log.get(__name__)
#: Seconds of the first wait after a failure, doubled each time up to the most; what is waited
#: is drawn evenly from nothing to that ("full jitter", Brooker, AWS Architecture Blog 2015).
FIRST_S, MOST_S = 1.0, 300.0
#: With `once`: failures in a row after which an input is given up.
GIVE_UP: Final = 5
#: Memory for records on their way, MiB: a page is at most 4 MiB.
QUEUE_MIB: Final = 24


class Work(threading.Thread):
    """One input at work.

    Parameters
    ----------
    settings
        Where the broker is.
    target
        The input.
    once
        End when there is nothing more to read, instead of looking again.
    since
        Read again from this time on, instead of going on where it was.

    Attributes
    ----------
    failed
        Why it gave up; empty where it did not.
    """

    def __init__(
        self,
        settings: Settings,
        target: Input,
        *,
        once: bool = False,
        since: datetime | None = None,
    ) -> None:
        super().__init__(name=f"input {target.name}", daemon=True)
        self.target = target
        self.failed = ""
        self._settings = settings
        self._labels = (target.name, target.source)
        self._once = once
        self._since = since
        self._stop_asked = threading.Event()
        self._reader: Reader | None = None
        self._positions: Positions | None = None
        self._delivery: Delivery | None = None
        self._position: Position | None = None
        self._failures = 0
        self._stored = 0.0
        self._state = "starting"

    def stop(self) -> None:
        """Ask it to end after the page it is at."""
        self._stop_asked.set()
        if self._reader is not None:
            self._reader.stopping.set()

    def health(self) -> Health:
        """Return whether it reads, and since when its position stands."""
        age = round(time.time() - self._stored, 1) if self._stored else None
        detail = {"state": self._state, "position_age_s": age, "failures": self._failures}
        return Health(not self.failed and not self._failures, detail)

    def run(self) -> None:
        """Read until stopped; a failure of this input is no one else's."""
        with log.bound(input=self.target.name, source=self.target.source):
            while not self._stop_asked.is_set():
                wait = 0.0 if self.target.reader.waits else self.target.settings.poll_s
                kind = ""
                try:
                    self._round()
                except FencedError as error:
                    self._give_up(str(error))
                    break
                except SourceError as error:
                    kind = "denied" if isinstance(error, DeniedError) else "source"
                    wait = max(self._waiting(error), error.retry_after_s or 0.0)
                except SentinelError as error:
                    kind = "kafka"
                    wait = self._waiting(error)
                    self._let_go()
                except Exception as error:
                    kind = "bug"
                    LOG.exception("a reader failed", action="reader_bug")
                    wait = self._waiting(error)
                if kind:
                    metrics.CONNECTOR_ERRORS.labels(*self._labels, kind).inc()
                if self._once and (not kind or self._failures >= GIVE_UP):
                    break
                self._stop_asked.wait(wait)
            self._end()

    def _round(self) -> None:
        """Read what there is now, page by page."""
        reader = self._opened()
        self._claimed()
        self._state = "reading"
        pages = reader.read(self._position)
        try:
            for page in pages:
                # Only here, not after the delivery: what follows the reader's `yield` tells
                # the source that the page before this one has arrived.
                # A reader that waits for what it is sent ends by itself, and has it only once.
                if self._stop_asked.is_set() and not reader.waits:
                    break
                self._deliver(page)
        finally:
            close = getattr(pages, "close", None)
            if close is not None:
                close()
        self._failures = 0
        self._state = "waiting"

    def _deliver(self, page: Page) -> None:
        """Deliver a page, again and again where Kafka fails: not every source has it twice."""
        while True:
            try:
                self._claimed().deliver(page)
            except FencedError:
                raise
            except KafkaError as error:
                metrics.CONNECTOR_ERRORS.labels(*self._labels, "kafka").inc()
                wait = self._waiting(error)
                self._let_go()
                if self._stop_asked.wait(wait) or self.failed:
                    raise
            else:
                self._position = page.position
                self._stored = time.time()
                self._failures = 0
                return

    def _opened(self) -> Reader:
        """Return the reader, made at the first call."""
        if self._reader is None:
            target = self.target
            if self._since is not None:
                fresh = target.settings.model_copy(update={"since": self._since})
                target = target._replace(settings=fresh)
            self._reader = target.open()
            if self._stop_asked.is_set():  # by a signal meanwhile
                self._reader.stopping.set()
        return self._reader

    def _claimed(self) -> Delivery:
        """Return the way into Kafka; claim the input where that was not done yet."""
        if self._delivery is None:
            self._positions = Positions(self._settings, self.target.key)
            stored = self._positions.claim()
            self._position = self._position if self._since else stored
            producer = Producer(self._settings, queue_mib=QUEUE_MIB)
            self._delivery = Delivery(self.target, producer, self._positions)
            LOG.info("claimed", action="claim", position_known=stored is not None)
        return self._delivery

    def _waiting(self, error: BaseException) -> float:
        """Note a failure; return how many seconds to wait."""
        self._failures += 1
        self._state = f"failing: {error!s:.300}"
        most = min(MOST_S, FIRST_S * 2 ** min(self._failures - 1, 20))
        wait = random.uniform(0, most)  # noqa: S311 - spreads attempts, protects nothing
        LOG.warning(
            "cannot read",
            action="read_failed",
            error=str(error)[:1000],
            failures=self._failures,
            wait_s=round(wait, 1),
        )
        if self._once and self._failures >= GIVE_UP:
            self._give_up(f"{GIVE_UP} attempts in a row failed; the last: {error}")
        return wait

    def _give_up(self, reason: str) -> None:
        self.failed = reason
        self._state = f"ended: {reason:.300}"
        LOG.error("input ended", action="input_ended", reason=reason)

    def _let_go(self) -> None:
        """Close what leads to Kafka; it is made anew."""
        if self._delivery is not None:
            self._delivery.close()
            self._delivery = None
        if self._positions is not None:
            self._positions.close()
            self._positions = None

    def _end(self) -> None:
        """Close everything."""
        self._let_go()
        if self._reader is not None:
            self._reader.close()
        if not self.failed:
            self._state = "ended"
        LOG.info("input stopped", action="stop", at=datetime.now(UTC).isoformat())
