"""Secrets at rest: bound to their row and key, made once by whoever comes first."""

from __future__ import annotations

import base64
import secrets
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from sentinel.errors import SettingsError
from sentinel.settings import Settings
from sentinel.subscribers.vault import Vault


def key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def test_a_secret_opens_only_in_its_row_and_unchanged():
    vault = Vault([secrets.token_bytes(32)])
    sealed = vault.seal(b"whsec", "acme/1")
    assert vault.open(sealed, "acme/1") == b"whsec"
    assert b"whsec" not in sealed
    for row, data in (("acme/2", sealed), ("acme/1", sealed[:-1] + b"x"), ("acme/1", b"")):
        with pytest.raises(SettingsError):
            vault.open(data, row)


def test_an_older_key_still_opens(monkeypatch, tmp_path):
    old, new = key(), key()
    sealed = Vault.load(Settings(secrets_key=old)).seal(b"x", "row")
    both = Vault.load(Settings(secrets_key=f"{new},{old}"))
    assert both.open(sealed, "row") == b"x"
    with pytest.raises(SettingsError, match="another key"):
        Vault.load(Settings(secrets_key=new)).open(sealed, "row")
    monkeypatch.setenv("OUR_KEY", old)
    assert Vault.load(Settings(secrets_key="env:OUR_KEY")).open(sealed, "row") == b"x"
    file = tmp_path / "key"
    file.write_text(old + "\n")
    assert Vault.load(Settings(secrets_key=f"file:{file}")).open(sealed, "row") == b"x"


def test_the_key_file_is_made_once_and_private(tmp_path):
    settings = Settings(home=tmp_path / "home")
    with ThreadPoolExecutor(8) as pool:
        vaults = list(pool.map(lambda _: Vault.load(settings), range(8)))
    sealed = vaults[0].seal(b"x", "row")
    assert {vault.open(sealed, "row") for vault in vaults} == {b"x"}
    path = tmp_path / "home" / "secrets.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["secrets.key"]


def test_a_key_of_another_length_is_told():
    with pytest.raises(SettingsError, match="openssl rand -base64 32"):
        Vault.load(Settings(secrets_key="c2hvcnQ="))
