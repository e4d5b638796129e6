"""`fedthaw settings`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import pytest

from shared.errors import ConfigError
from shared.settings.config import RunConfig
from shared.settings.parse import parse_run_config

Here = Callable[..., tuple[int, str, str]]


def test_json_has_what_can_be_set(here: Here) -> None:
    code, out, _ = here("settings", "--json")
    assert code == 0
    found = json.loads(out)
    config = parse_run_config({key: one["default"] for key, one in found.items()})
    assert config == RunConfig()
    own = {"sites", "out", "resume", "pooled", "quick"}
    assert len(found) == len({item.name for item in dataclasses.fields(RunConfig)} - own)
    for key, one in found.items():
        if one["maximum"] is not None:
            with pytest.raises(ConfigError, match=f"{key} is .* it must lie in"):
                parse_run_config({key: type(one["default"])(one["maximum"]) * 2 + 1})


def test_people_read_the_same(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "900")
    lines = here("settings")[1].splitlines()
    for key, one in json.loads(here("settings", "--json")[1]).items():
        (line,) = [line for line in lines if line.split()[:1] == [key]]
        assert one["help"] in line
        assert all(choice in line for choice in one["choices"])
