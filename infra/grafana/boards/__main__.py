"""Write the dashboards: ``python -m infra.grafana.boards`` (``make dashboards``)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from infra.grafana.boards import api, host, models, neural, overview, pipeline, sources

FOLDER = Path(__file__).resolve().parent.parent / "dashboards"
BOARDS = (overview, pipeline, sources, models, api, host, neural)


def dashboards() -> dict[str, str]:
    """Return the JSON of every dashboard, by file name."""
    return {f"{_name(module)}.json": _json(module.dashboard().build()) for module in BOARDS}


def main() -> None:
    """Write them all."""
    for name, text in dashboards().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def _name(module: Any) -> str:
    return str(module.__name__.rpartition(".")[2])


def _json(built: object) -> str:
    made = json.loads(JSONEncoder(sort_keys=True).encode(built))
    for panel in made["panels"]:
        panel["options"] = panel.get("options") or {}
    return json.dumps(made, indent=1) + "\n"


if __name__ == "__main__":
    main()
