"""The scope of a scan that `push` is given: which sources take one, and what it says."""

import io
import json
import re

import pytest

from connectors.trivy import Trivy
from sentinel.cli.app import run
from sentinel.errors import SettingsError

REPORT = {"SchemaVersion": 2, "ArtifactName": "shop", "CreatedAt": "2026-03-02T09:15:00Z"}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SENTINEL_HOME", str(tmp_path / "home"))


def scopes(report: object, scope: str) -> list[list[str] | None]:
    """Return the labels of all that comes of a report that is pushed with a scope."""
    connector = Trivy()
    stream = io.BytesIO(json.dumps(report).encode())
    units = [u for value in connector.records(stream, 0, scope) for u in connector.split(value)]
    return [connector.to_ocsf(unit)["metadata"].get("labels") for unit in units]


def test_the_scope_given_goes_before_that_of_an_envelope():
    assert scopes(REPORT, "") == [None]
    assert scopes(REPORT, "namespace/shop") == [["scope:namespace/shop"]]
    enveloped = {"scan": {"scope": "namespace/pay"}, "report": REPORT}
    assert scopes(enveloped, "") == [["scope:namespace/pay"]]
    assert scopes(enveloped, "namespace/shop") == [["scope:namespace/shop"]]


def test_units_that_were_cut_already_have_their_scope():
    units = b"\n".join(Trivy().records(io.BytesIO(json.dumps(REPORT).encode())))
    with pytest.raises(SettingsError, match=r"found units .* leave the scope out"):
        list(Trivy().records(io.BytesIO(units), None, "namespace/shop"))


@pytest.mark.parametrize(
    ("source", "scope", "said"),
    [
        ("cloudtrail", "namespace/shop", r"scanner as --source \(checkov, .*trivy\).*'cloudtrail'"),
        ("trivy", "x" * 513, "at most 512 printable characters.*found 513"),
        ("trivy", "a\nb", "printable"),
    ],
)
def test_a_scope_is_of_a_scanner_and_short(source, scope, said, tmp_path, capfd):
    file = tmp_path / "report.json"
    file.write_text(json.dumps(REPORT))
    assert run(["push", str(file), "--source", source, "--scope", scope]) != 0
    err = " ".join(capfd.readouterr().err.split())
    assert re.search(said, err), err
