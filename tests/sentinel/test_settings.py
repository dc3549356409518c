"""Settings come from SENTINEL_* alone, and a wrong one is named."""

import inspect
import re
from pathlib import Path

import pytest

import sentinel
from sentinel import settings
from sentinel.errors import SettingsError
from sentinel.settings import Settings


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SENTINEL_{name.upper()}", raising=False)


def test_defaults_need_no_environment():
    loaded = settings.load()
    assert loaded.home == Path(".sentinel")
    assert loaded.kafka == loaded.postgres == ""
    assert loaded.rule_dirs == ()


def test_variables_set_them(monkeypatch):
    monkeypatch.setenv("SENTINEL_PARTITIONS", "12")
    monkeypatch.setenv("SENTINEL_RULES", "/a::b/c")
    loaded = settings.load()
    assert loaded.partitions == 12
    assert loaded.rule_dirs == (Path("/a"), Path("b/c"))


@pytest.mark.parametrize(
    ("name", "value"),
    [("PARTITIONS", "0"), ("API_PORT", "70000"), ("MODEL_THRESHOLD", "x"), ("CHECKPOINT_S", "0")],
)
def test_a_wrong_value_is_named_with_what_was_found(monkeypatch, name, value):
    monkeypatch.setenv(f"SENTINEL_{name}", value)
    with pytest.raises(SettingsError, match=rf"SENTINEL_{name}: .*'{value}'"):
        settings.load()


def test_every_wrong_value_is_named_at_once(monkeypatch):
    monkeypatch.setenv("SENTINEL_PARTITIONS", "x")
    monkeypatch.setenv("SENTINEL_API_PORT", "y")
    with pytest.raises(SettingsError, match=r"(?s)PARTITIONS.*API_PORT"):
        settings.load()


def test_secrets_are_not_shown(monkeypatch):
    monkeypatch.setenv("SENTINEL_KAFKA_SASL_PASSWORD", "hunter2")
    loaded = settings.load()
    assert loaded.kafka_sasl_password.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(loaded) + str(loaded.model_dump())


def test_settings_cannot_be_changed_later():
    with pytest.raises(ValueError, match="frozen"):
        settings.load().partitions = 5


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_says_what_it_is(name):
    assert Settings.model_fields[name].description.endswith(".")


def test_every_variable_our_code_names_is_a_setting():
    """A variable in a message or docstring that does not exist misleads."""
    known = {f"SENTINEL_{name.upper()}" for name in Settings.model_fields}
    root = Path(inspect.getfile(sentinel)).parent
    for path in root.rglob("*.py"):
        for name in re.findall(r"\bSENTINEL_[A-Z_]*[A-Z]\b", path.read_text()):
            fits = name in known or any(one.startswith(f"{name}_") for one in known)
            assert fits, f"{path.name} names {name}"
