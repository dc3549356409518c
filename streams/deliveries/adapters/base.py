"""What a kind of channel does: send one message, and where it keeps tickets, look for their end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar

from sentinel.subscribers.egress import Egress
from sentinel.subscribers.kinds import Channel
from sentinel.subscribers.model import Options, fill
from streams.deliveries.http import Http, Reply
from streams.deliveries.payload import ESCALATED, OPINIONS, PING, RESOLVED, UPDATED

C = TypeVar("C", bound=Channel)
SUBJECT: Final = "[${severity}] ${title}"
TEXT: Final = (
    "${title}\n\nSeverity: ${severity} (score ${score})\nEntity: ${entity}\nSource: ${source}\n"
    "Techniques: ${techniques}\nEvents: ${count}, ${first_seen} to ${last_seen}\nRule: ${rule_id}\n"
    "Alert: ${id}"
)
#: Of a digest, so many alerts are written out; the rest is counted.
MOST_SHOWN: Final = 20
JSON: Final = {"Content-Type": "application/json"}


class Item(NamedTuple):
    """One thing to tell: its type, its data, and the JSON of both as it was written down."""

    type: str
    data: Mapping[str, Any]
    body: str

    @property
    def resolved(self) -> bool:
        """Whether the alert is over."""
        return self.type == RESOLVED


class Message(NamedTuple):
    """What one request carries.

    Attributes
    ----------
    id
        The same for every attempt: whoever has seen it has had it.
    at
        When this attempt is made, seconds since the epoch.
    items
        One, or where the subscription batches, several in their order.
    body
        JSON of all.
    reference
        What the receiver called the ticket of the alert, if there is one yet.
    """

    id: str
    at: float
    items: Sequence[Item]
    body: bytes
    reference: str = ""

    @property
    def first(self) -> Item:
        """The first item."""
        return self.items[0]


class Outcome(NamedTuple):
    """What became of an attempt; without `error` the receiver has it.

    Attributes
    ----------
    gone
        The receiver wants nothing more, ever: the subscription is switched off.
    permanent
        Trying again would fail again: the delivery failed.
    reference, url
        Of the ticket that was made.
    """

    status: int | None = None
    error: str = ""
    response: str = ""
    retry_after_s: float | None = None
    gone: bool = False
    permanent: bool = False
    reference: str = ""
    url: str = ""


class Wire(NamedTuple):
    """The ways to the outside."""

    http: Http
    egress: Egress
    now: Callable[[], float]


class Adapter(ABC, Generic[C]):
    """A channel of one subscription.

    Delivery: at least once; a message that was sent twice has the same id, and where the
    receiver can tell by an id of its own (PagerDuty's ``dedup_key``, a ticket's label), the
    second changes nothing. Adapters keep no state and raise nothing for what a receiver
    does: it is in the `Outcome`.
    """

    def __init__(self, channel: C, options: Options, wire: Wire) -> None:
        self.channel = channel
        self.options = options
        self.wire = wire

    @abstractmethod
    async def send(self, message: Message) -> Outcome:
        """Send a message."""

    async def closed(self, references: Sequence[str]) -> set[str]:
        """Return those tickets that someone resolved over there."""
        return set()

    async def ask(self, method: str, url: str, value: bytes, **more: Any) -> Reply:
        """Send a request within the subscription's time-out."""
        headers = {**JSON, **more.pop("headers", {})}
        return await self.wire.http.request(
            method, url, content=value, headers=headers, timeout_s=self.options.timeout_s, **more
        )

    def subject(self, message: Message) -> str:
        """Return one line for people."""
        if len(message.items) > 1:
            return f"{len(message.items)} alerts"
        return one_line(fill(self.options.subject or SUBJECT, values(message.first)))

    def text(self, message: Message) -> str:
        """Return the message for people, by the subscription's template."""
        template = self.options.template or TEXT
        shown = [fill(template, values(item)) for item in message.items[:MOST_SHOWN]]
        if (more := len(message.items) - MOST_SHOWN) > 0:
            shown.append(f"and {more} more")
        return "\n\n".join(shown)


def values(item: Item) -> Mapping[str, Any]:
    """Return what a template may name: the alert's fields and the ``type``."""
    marks = {RESOLVED: "Resolved: ", ESCALATED: "Not acknowledged: ", PING: ""}
    marks[UPDATED] = f"Now {str(item.data.get('status', '')).replace('_', ' ')}: "
    marks[OPINIONS] = f"{'; '.join(map(str, item.data.get('opinions', ())))}: "
    title = marks.get(item.type, "") + str(item.data.get("title", ""))
    return {**item.data, "type": item.type, "title": title}


def one_line(text: str) -> str:
    r"""Return `text` without line breaks and control characters, short.

    >>> one_line("a\r\nBcc: b")
    'a Bcc: b'
    """
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:255]


def outcome(reply: Reply, permanent: Sequence[int | None] = ()) -> Outcome:
    """Return the outcome of a reply: any 2xx is success.

    Parameters
    ----------
    permanent
        Statuses by which the receiver says that this very message will never do.
    """
    error = "" if reply.ok else reply.error or f"expected 2xx, found {reply.status}"
    return Outcome(
        reply.status,
        error,
        reply.text,
        reply.retry_after_s,
        permanent=not reply.ok and reply.status in permanent,
    )


class PerAlert(Adapter[C]):
    """A channel that takes one alert a request; the receiver knows each by an id of its own.

    Of several items those before the one that failed are sent again with it, to no effect.
    """

    async def send(self, message: Message) -> Outcome:
        """Send each item; stop at the first that fails."""
        found = Outcome()
        for item in message.items:
            found = await self.tell(message, item)
            if found.error:
                break
        return found

    @abstractmethod
    async def tell(self, message: Message, item: Item) -> Outcome:
        """Send one item."""
