"""What Grafana is given is what the code makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from infra.grafana.boards.__main__ import FOLDER, dashboards

MADE = dashboards()
GRAFANA = Path(FOLDER).parent


@pytest.mark.parametrize("name", sorted(MADE))
def test_the_dashboard_is_the_one_the_code_makes(name):
    assert (FOLDER / name).read_text() == MADE[name], "run `make dashboards`"


def test_there_is_no_other():
    assert sorted(path.name for path in FOLDER.glob("*.json")) == sorted(MADE)


def test_every_panel_asks_a_data_source_that_is_provisioned():
    given = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "sentinel.yml").read_text())
    known = {source["uid"]: source["type"] for source in given["datasources"]}
    asked = {
        (panel["datasource"]["uid"], panel["datasource"]["type"])
        for text in MADE.values()
        for panel in json.loads(text)["panels"]
        if panel["type"] != "row"
    }
    assert asked
    assert asked <= set(known.items())


def test_no_secret_is_written_down():
    for path in (GRAFANA / "provisioning").rglob("*.yml"):
        for source in yaml.safe_load(path.read_text()).get("datasources", []):
            for value in source.get("secureJsonData", {}).values():
                assert value.startswith("$")
