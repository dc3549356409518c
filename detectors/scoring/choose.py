"""Which models run: those named, or the default ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any, cast

import detectors.models
from detectors.base import Model
from detectors.enrich.geo import Geo
from detectors.online.places import Locate, nowhere
from sentinel.errors import SettingsError
from sentinel.registry import discover


def all_models() -> list[type[Model]]:
    """Return the classes of all online models there are."""
    found = discover(detectors.models, Model)  # type: ignore[type-abstract]
    return list(found.values())


def online_models(names: Sequence[str] = (), locate: Locate = nowhere) -> list[type[Model]]:
    """Return what makes the models that run, for `Detector`: those named, or the default ones.

    Parameters
    ----------
    names
        Module names in `detectors.models`, or model ids.
    locate
        Looks up where addresses are, for the models that ask.

    Raises
    ------
    SettingsError
        There is no model of a name.
    """
    known = all_models()
    wanted = {name.removeprefix("model.") for name in names}
    short = [model.id.removeprefix("model.") for model in known]
    if missing := sorted(wanted - set(short)):
        raise SettingsError(f"expected models among {', '.join(short)}, found {missing}")
    chosen = [m for m, name in zip(known, short, strict=True) if name in wanted] or [
        model for model in known if model.default
    ]
    if locate is nowhere:
        return list(chosen)
    return [
        cast("type[Model]", partial(cast("Any", model), locate=locate)) if _asks(model) else model
        for model in chosen
    ]


def _asks(model: type[Model]) -> bool:
    """Say whether a model asks where addresses are."""
    return "locate" in signature(model).parameters


def chosen(names: str, look_ups: str) -> list[type[Model]]:
    """Return the models that run by two settings.

    Parameters
    ----------
    names
        ``SENTINEL_MODELS``: names with commas; empty: the default ones.
    look_ups
        ``SENTINEL_INTEL``: the folder whose ``geo/*.mmdb`` say where addresses are; may be empty.

    Raises
    ------
    SettingsError
        There is no model of a name, or a database is none.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    paths = sorted((Path(look_ups) / "geo").rglob("*.mmdb")) if look_ups else []
    return online_models(wanted, Geo(paths).find if paths else nowhere)
