"""What requests and answers about subscriptions look like."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from sentinel.subscribers.kinds import Url
from sentinel.subscribers.model import Clause, Name, Options
from sentinel.subscribers.signing import Algorithm

State = Literal["pending", "delivered", "failed"]
Kind = Literal[
    "slack", "teams", "email", "pagerduty", "opsgenie", "jira", "servicenow", "splunk", "syslog"
]
Owner = Annotated[str, StringConstraints(pattern=r"^(\*|[A-Za-z0-9_.@-]{1,128})$")]
Filter = Annotated[list[Clause], Field(max_length=20)]
WHOSE = "Only for those of the platform: whose subscription; `*` sees all tenants."
WHICH = "Alerts that fit any of these; none: all alerts."


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewWebhook(_Given):
    """A webhook to make."""

    name: Name = Field(examples=["soar"])
    url: Url = Field(examples=["https://hooks.example.com/alerts"])
    algorithm: Algorithm = Field("v1", description="v1: HMAC-SHA256, v1a: ed25519.")
    filter: Filter = Field([], description=WHICH)
    options: Options = Options()
    tenant: Owner | None = Field(None, description=WHOSE)


class NewChannel(_Given):
    """A channel to make; `GET /v1/notifications/kinds` says what each kind needs."""

    name: Name = Field(examples=["on-call"])
    kind: Kind = Field(examples=["slack"])
    config: dict[str, Any] = Field(examples=[{"url": "https://hooks.slack.example.com/services/T"}])
    filter: Filter = Field([], description=WHICH)
    options: Options = Options()
    tenant: Owner | None = Field(None, description=WHOSE)


class Change(_Given):
    """What to change; what is left out stays. Of `config`, single fields may be given."""

    name: Name | None = None
    config: dict[str, Any] | None = Field(None, examples=[{"url": "https://hooks.example.com/2"}])
    filter: Filter | None = None
    options: Options | None = None
    enabled: bool | None = Field(None, description="True also forgives what switched it off.")


class Replay(_Given):
    """What to send again, with the ids it had. At least one of the fields."""

    deliveries: list[UUID] | None = Field(None, min_length=1, max_length=1000)
    state: State | None = Field(None, description="pending: try now what waits for its turn.")
    since: datetime | None = Field(None, description="Written then or later.")
    until: datetime | None = None


class Subscription(BaseModel):
    """A webhook or channel, without its secrets."""

    id: UUID = Field(examples=["6f1c2a36-3f6e-5f0e-9d3b-0d8f5a0c9b11"])
    tenant: str = Field(examples=["default"])
    name: str = Field(examples=["soar"])
    kind: str = Field(examples=["webhook"])
    config: dict[str, Any] = Field(
        examples=[{"url": "https://hooks.example.com", "algorithm": "v1"}]
    )
    filter: list[Clause]
    options: Options
    enabled: bool
    disabled_reason: str = Field(description="Why it was switched off by itself.")
    pending: int = Field(description="Deliveries that wait, counted up to 100,000.")
    created_at: datetime
    updated_at: datetime
    succeeded_at: datetime | None = Field(description="Of the last success, to 10 s.")
    failing_since: datetime | None


class MadeWebhook(Subscription):
    """A webhook with what verifies its signatures, which is shown this once."""

    secret: str = Field(
        description="`whsec_…`, or of ed25519 the public key `whpk_…`.", examples=["whsec_…"]
    )


class Subscriptions(BaseModel):
    """A page, by name."""

    items: list[Subscription]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


class Delivery(BaseModel):
    """One message to one subscription."""

    id: UUID = Field(description="The `webhook-id`, but in batches.")
    type: str = Field(examples=["alert.created"])
    state: State
    alert_id: UUID
    revision: int = Field(description="Count of the alert that it tells of.")
    attempts: int
    status: int | None = Field(description="HTTP status of the last attempt.")
    error: str
    created_at: datetime
    due_at: datetime
    finished_at: datetime | None


class Deliveries(BaseModel):
    """A page of deliveries, the newest first."""

    items: list[Delivery]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


class Attempt(BaseModel):
    """One attempt."""

    attempt: int
    at: datetime
    duration_ms: int
    status: int | None
    error: str
    response: str = Field(description="The beginning of the answer.")


class DeliveryDetail(Delivery):
    """One delivery with what was sent and its last 100 attempts, the newest first."""

    payload: dict[str, Any]
    log: list[Attempt]


class Accepted(BaseModel):
    """A test message that is on its way."""

    delivery: UUID


class Replayed(BaseModel):
    """How many deliveries go out again."""

    replayed: int


class Kinds(BaseModel):
    """JSON Schema of the `config` of each kind of channel."""

    kinds: dict[str, dict[str, Any]]
