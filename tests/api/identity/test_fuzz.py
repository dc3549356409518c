"""A few of the cases of ``make fuzz``: what no test thought of must not break the API."""

from __future__ import annotations

import subprocess

import pytest

from sentinel.kafka import create_topics
from sentinel.settings import Settings
from tests.api.identity import fuzz


@pytest.mark.e2e
def test_no_case_fails_or_breaks_the_schema(api_settings: Settings, kafka: str) -> None:
    settings = api_settings.model_copy(update={"kafka": kafka})
    create_topics(settings, ["cloudtrail"])
    with fuzz.served(settings) as url:
        token = (settings.home / "api-token").read_text().strip()
        line = fuzz.command(url, token, examples=1, phases="fuzzing,stateful")
        env = fuzz.environment()
        given = {"env": env, "cwd": settings.home}
        found = subprocess.run(line, check=False, capture_output=True, text=True, **given)
    assert found.returncode == 0, found.stdout[-6000:] + found.stderr[-2000:]
