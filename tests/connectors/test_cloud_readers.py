"""The readers of Azure, Google Cloud and Microsoft 365 are there, and say what they take."""

import pytest
from pydantic import ValidationError

import connectors
from connectors._reading.ways import load
from connectors.base import Connector
from sentinel.registry import discover

PLACES = sorted(
    {
        place
        for connector in discover(connectors, Connector).values()
        for place in connector.readers.values()
        if place.startswith(("connectors._azure", "connectors._google", "connectors._m365"))
    }
)


@pytest.mark.parametrize("place", PLACES)
def test_a_reader_loads_and_its_settings_are_described(place):
    settings = load(place).Settings

    assert [name for name, field in settings.model_fields.items() if not field.description] == []
    with pytest.raises(ValidationError, match="no_such_setting"):
        settings(no_such_setting=1)


@pytest.mark.parametrize("place", PLACES)
def test_secrets_are_never_shown(place):
    settings = load(place).Settings
    secret = [name for name in settings.model_fields if "secret" in name or "string" in name]
    needed = {
        "workspace_id": "w",
        "topics": ["t"],
        "resources": ["projects/p"] if "_google" in place else [],
        "subscription": "projects/p/subscriptions/s",
        "parent": "projects/p",
    }
    given = {name: value for name, value in needed.items() if name in settings.model_fields}
    made = settings(**given, **dict.fromkeys(secret, "hunter2"))

    assert "hunter2" not in repr(made)


def test_there_are_as_many_as_promised():
    assert len(PLACES) == 8
