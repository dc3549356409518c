"""Spans of time: nothing lost, nothing twice, whatever comes late and wherever it is killed."""

import json
from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from connectors._reading.base import MAX_POSITION, SourceError
from connectors._reading.polling.api import retry_after
from connectors._reading.polling.windows import MOST, Event, WindowReader, Windows, WindowSettings
from sentinel.testing import Clock
from sentinel.testing.draining import Drain

START = 1_772_000_000.0


class Feed:
    """A source: events by id, with their time and when they show up."""

    def __init__(self, events, clock, size=3):
        self.events, self.clock, self.size = events, clock, size
        self.asked = []

    def reader(self, settings):
        feed = self

        class FeedReader(WindowReader):
            def pages(self, start, end):
                feed.asked.append((start.timestamp(), end.timestamp()))
                seen = [
                    Event(str(uid), when, b"{}")
                    for uid, (when, shown) in feed.events.items()
                    if shown <= feed.clock.now and start.timestamp() <= when < end.timestamp()
                ]
                for at in range(0, len(seen), feed.size):
                    yield seen[at : at + feed.size]

        made = FeedReader(settings, None)
        made.clock = self.clock
        return made


def settings(**changes):
    since = datetime.fromtimestamp(START, UTC)
    return WindowSettings(**{"since": since, "look_back_s": 600, "window_s": 900, **changes})


moments = st.floats(0, 7200).map(lambda seconds: START + round(seconds, 3))
lateness = st.floats(0, 590)


@given(
    st.lists(st.tuples(moments, lateness), max_size=40),
    st.lists(st.integers(1, 900), min_size=1, max_size=12),
    st.lists(st.none() | st.integers(1, 4), max_size=12),
)
def test_what_comes_late_is_read_once_wherever_it_is_killed(events, pauses, kills):
    clock = Clock(START + 1)
    feed = Feed({n: (when, when + late) for n, (when, late) in enumerate(events)}, clock)
    drain = Drain(lambda: feed.reader(settings()), SourceError)
    for at, pause in enumerate(pauses):
        clock.move(pause)
        drain.run(pages=kills[at] if at < len(kills) else None)
    clock.now = START + 9000
    drain.run()

    killed = sum(kill is not None for kill in kills[: len(pauses)])
    assert set(drain.ids) == {str(n) for n in feed.events}
    assert len(drain.ids) <= len(events) + 3 * killed  # a killed page comes again, no other


@given(st.lists(moments, max_size=40), st.lists(st.integers(0, 7200), max_size=4))
def test_every_event_is_listed_in_one_span(times, cuts):
    clock = Clock(START + 9000)
    reader = Feed({n: (when, when) for n, when in enumerate(times)}, clock).reader(settings())
    ends = [datetime.fromtimestamp(START + s, UTC) for s in sorted({0, *cuts, 7201})]
    listed = [each for span in pairwise(ends) for each in reader.listing(*span)]

    assert sorted(int(each.id) for each in listed) == list(range(len(times)))
    assert {int(each.id): each.time.timestamp() for each in listed} == {
        n: int(when) for n, when in enumerate(times)
    }


def test_old_spans_are_asked_for_once():
    clock = Clock(START + 86_400)
    feed = Feed({}, clock)
    drain = Drain(lambda: feed.reader(settings()), SourceError)
    drain.run()

    spans = list(zip(feed.asked, feed.asked[1:], strict=False))
    assert all(one[1] == two[0] for one, two in spans)
    assert feed.asked[0][0] == START


def test_busy_spans_get_shorter_and_quiet_ones_longer_again():
    clock = Clock(START + 20_000)
    busy = {n: (START + n / 2, 0) for n in range(30_000)}
    feed = Feed(busy, clock, size=5000)
    drain = Drain(lambda: feed.reader(settings(window_s=3600)), SourceError)
    drain.run()

    widths = [end - start for start, end in feed.asked]
    assert len(drain.ids) == len(set(drain.ids)) == 30_000
    assert min(widths) == 900
    assert widths[0] == 3600


def test_ids_are_bounded_and_fit_the_position():
    windows = Windows(None, START, START + 60, settings())
    windows.span()
    for n in range(MOST + 500):
        assert windows.is_new(Event(f"a rather long id of an event {n}", START, b""))

    assert not windows.is_new(Event(f"a rather long id of an event {MOST}", START, b""))
    assert len(json.dumps(windows.position())) < MAX_POSITION


def test_retry_after_may_be_a_date():
    assert retry_after("Mon, 02 Mar 2020 09:15:00 GMT") == 0
    assert retry_after(None) is None
