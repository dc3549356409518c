"""Logs: one JSON object a line on stderr, or readable lines where stderr is a terminal.

Every line has ``timestamp`` (UTC, ISO 8601), ``level``, ``logger``, ``event`` and what
was bound; the convention is ``action`` for what was going on (a stable snake_case
word to filter by) and the correlation ids ``stage``, ``topic``, ``partition``,
``offset``, ``tenant``, ``source`` where they are known. Standard ``logging`` (Faust,
uvicorn, librdkafka) comes out in the same form.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import structlog

from sentinel.errors import SettingsError

#: Never printed, whatever key a caller or library puts them under.
SECRET_WORDS = ("password", "secret", "token", "authorization", "api_key")

Logger = structlog.stdlib.BoundLogger


def get(name: str) -> Logger:
    """Return the logger ``sentinel.<name>``; cheap, usable before `configure`."""
    logger: Logger = structlog.stdlib.get_logger(f"sentinel.{name}")
    return logger


def configure(level: str = "INFO", stream: IO[str] | None = None) -> None:
    """Send all logs of this process to `stream` (default stderr); call once, at start.

    Parameters
    ----------
    level
        ``DEBUG``, ``INFO``, ``WARNING`` or ``ERROR``, in any case.
    stream
        A terminal gets coloured lines for people, anything else JSON lines.

    Raises
    ------
    SettingsError
        `level` is none of these.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise SettingsError(
            f"SENTINEL_LOG_LEVEL: expected DEBUG, INFO, WARNING or ERROR, found {level!r}"
        )
    out = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_shared(),
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_render(out)],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(number, logging.INFO), force=True)
    logging.getLogger("sentinel").setLevel(number)
    # It logs whole URLs, which are secrets (chats' webhooks) or have them (Shodan's key).
    logging.getLogger("httpx").setLevel(logging.WARNING)


@contextmanager
def bound(**ids: Any) -> Iterator[None]:
    """Add correlation ids to every line logged inside, also by functions called or awaited."""
    with structlog.contextvars.bound_contextvars(**ids):
        yield


def _hide_secrets(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    for key in event:
        if any(word in key.lower() for word in SECRET_WORDS):
            event[key] = "hidden"
    return event


def _shared() -> list[structlog.typing.Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _hide_secrets,
    ]


def _render(out: IO[str]) -> list[structlog.typing.Processor]:
    if out.isatty():
        return [structlog.dev.ConsoleRenderer()]
    # Without the values of local variables: those hold events and passwords.
    tracebacks = structlog.processors.ExceptionRenderer(
        structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    )
    return [tracebacks, structlog.processors.JSONRenderer(default=str)]


structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        *_shared(),
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)
