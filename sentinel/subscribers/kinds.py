"""What each kind of channel needs to know; a secret is a field of type `SecretStr`.

Addresses are checked when something is sent, by the address that a name leads to then; here
only their form is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from sentinel.subscribers.signing import Algorithm, Secret

_STRICT: Final = ConfigDict(extra="forbid", frozen=True)


def _form(url: str) -> str:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 # raises where it is none
    except ValueError as error:
        raise ValueError(f"a URL ({error})") from None
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise ValueError("a URL such as https://hooks.example.com/alerts")
    if parts.username or parts.password or parts.fragment:
        raise ValueError("a URL without user, password and fragment")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("a URL in ASCII, without spaces")
    return url


def _secret_form(url: SecretStr) -> SecretStr:
    _form(url.get_secret_value())
    return url


Url = Annotated[str, StringConstraints(max_length=2048), AfterValidator(_form)]
SecretUrl = Annotated[SecretStr, Field(max_length=2048), AfterValidator(_secret_form)]
Token = Annotated[SecretStr, Field(min_length=1, max_length=4096)]
Word = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,255}$")]
Host = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.:-]{0,252}$")]
Mail = Annotated[
    str, StringConstraints(pattern=r"^[^@\s<>,;\x00-\x1f\x7f]{1,64}@[A-Za-z0-9.-]{1,253}$")
]
Port = Annotated[int, Field(ge=1, le=65535)]


class Channel(BaseModel):
    """What all kinds share."""

    model_config = _STRICT


class Webhook(Channel):
    """Standard Webhooks 1.0.0; the secrets are ours."""

    url: Url
    algorithm: Algorithm = Field("v1", description="v1: HMAC-SHA256, v1a: ed25519.")
    secrets: list[Secret] = Field([], exclude=True)


class Slack(Channel):
    """An incoming webhook of Slack (Block Kit)."""

    url: SecretUrl


class Teams(Channel):
    """A workflow of Teams that is started by a webhook (Adaptive Card)."""

    url: SecretUrl


class Email(Channel):
    """SMTP, with STARTTLS unless told otherwise."""

    host: Host
    port: Port = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: Word | None = None
    password: Token | None = None
    sender: Mail
    to: list[Mail] = Field(min_length=1, max_length=50)


class Pagerduty(Channel):
    """Events API v2: trigger, and resolve when the alert is."""

    routing_key: Token
    url: Url = "https://events.pagerduty.com/v2/enqueue"


class Opsgenie(Channel):
    """Alert API: create, and close when the alert is resolved."""

    api_key: Token
    url: Url = "https://api.opsgenie.com"


class Jira(Channel):
    """An issue an alert: created, commented, resolved; resolved there, it is here."""

    url: Url = Field(examples=["https://example.atlassian.net"])
    user: Word
    token: Token
    project: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")]
    issue_type: Word = "Task"
    done: Word = Field("Done", description="Transition that resolves an issue.")


class Servicenow(Channel):
    """An incident an alert: created, updated, resolved; resolved there, it is here."""

    url: Url = Field(examples=["https://example.service-now.com"])
    user: Word
    password: Token
    close_code: Word = "Resolved by caller"


class Splunk(Channel):
    """HTTP Event Collector."""

    url: Url = Field(examples=["https://splunk.example.com:8088"])
    token: Token
    index: Word | None = None
    sourcetype: Word = "sentinel:alert"


class Syslog(Channel):
    """CEF in RFC 5424 messages."""

    host: Host
    port: Port = 514
    transport: Literal["tcp", "tls", "udp"] = "tcp"


KINDS: Final[Mapping[str, type[Channel]]] = {
    kind.__name__.lower(): kind
    for kind in (
        Webhook, Slack, Teams, Email, Pagerduty, Opsgenie, Jira, Servicenow, Splunk, Syslog,
    )
}  # fmt: skip
#: Kinds that open tickets, whose end is looked for.
TICKETS: Final = frozenset({"jira", "servicenow"})
#: Kinds that take one alert a request: neither batches nor digests are one message.
ONE_BY_ONE: Final = TICKETS | {"pagerduty", "opsgenie"}
#: Kinds that are read by machines, which are told of every amendment unless told otherwise.
MACHINES: Final = frozenset({"webhook", "splunk", "syslog"})


def parted(channel: Channel) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what of a channel may be shown, and what is secret."""
    public = channel.model_dump(mode="json")
    hidden: dict[str, Any] = {}
    for name, value in channel:
        if isinstance(value, SecretStr):
            public.pop(name)
            hidden[name] = value.get_secret_value()
    if isinstance(channel, Webhook):
        hidden["secrets"] = [each.model_dump() for each in channel.secrets]
    return public, hidden
