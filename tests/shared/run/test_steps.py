"""How long each unit was trained, from the ledger of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shared.model.registry import backbone_of
from shared.run.steps import steps_of_units

MICRO = backbone_of("micro")


def line(trainable: list[str], **steps: int | None) -> str:
    sites = {name: {"steps": own, "loss": 0.5} for name, own in steps.items()}
    return json.dumps({"round": 1, "plan": {"trainable": trainable}, "sites": sites})


def write(folder: Path, *lines: str) -> Path:
    (folder / "ledger.jsonl").write_text("".join(f"{one}\n" for one in lines), encoding="utf-8")
    return folder / "ledger.jsonl"


def test_the_fewest_steps_of_a_site_are_summed_over_the_rounds(tmp_path: Path) -> None:
    ledger = write(
        tmp_path,
        line(["head"], a=5, b=9),
        line(["layer4", "head"], a=6, b=4),
        line(["layer4", "head"], a=7, b=None),  # a site that hides them made one or more
    )
    found = steps_of_units(ledger, MICRO)
    (head,) = MICRO.units_of(["head"])
    assert found[head] == 5 + 4 + 1
    assert {found[unit] for unit in MICRO.units_of(["layer4"])} == {4 + 1}
    assert not MICRO.units_of(["layer3"]) & found.keys()


@pytest.mark.parametrize("text", ["", "{", "[]", line(["unknown"], a=1), '{"plan": {}}'])
def test_what_cannot_be_read_says_nothing(text: str, tmp_path: Path) -> None:
    assert steps_of_units(write(tmp_path, text), MICRO) == {}
    assert steps_of_units(tmp_path / "missing", MICRO) == {}
