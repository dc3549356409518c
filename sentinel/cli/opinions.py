"""Ask the services of SENTINEL_OPINIONS about a value now: also a test of their keys."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from sentinel.cli import _common
from sentinel.cli._common import JsonOption
from sentinel.errors import SettingsError
from sentinel.settings import Settings
from streams.opinions.asking import Asking
from streams.opinions.services.base import Opinion

COLUMNS = ("service", "said", "malicious", "link")


def command(
    value: Annotated[str, typer.Argument(help="A public address, a hash or a domain name.")],
    json: JsonOption = False,
) -> None:
    """Ask every service about a value; exit status 1 where none has an answer.

    The value leaves this machine. Quotas of SENTINEL_OPINIONS are not counted here.
    """
    settings = _common.settings()
    if not settings.opinions:
        raise SettingsError(
            "expected SENTINEL_OPINIONS, a YAML file such as `services: {virustotal: {key: "
            '"env:VT_API_KEY"}}`, found none: nothing leaves this machine'
        )
    found = asyncio.run(_ask(settings, value))
    rows = [
        (name, *(each if isinstance(each, Opinion) else (f"no answer: {each}", None, "")))
        for name, each in found.items()
    ]
    if json:
        _common.print_json(*(dict(zip(COLUMNS, row, strict=True)) for row in rows))
    else:
        _common.print_table("Opinions", COLUMNS, rows)
    if not any(isinstance(each, Opinion) for each in found.values()):
        raise typer.Exit(1)


async def _ask(settings: Settings, value: str) -> dict[str, Opinion | str]:
    asking = Asking(settings)
    try:
        return await asking.once(value)
    finally:
        await asking.close()
