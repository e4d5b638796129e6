"""Two hospitals whose tables have three classes, at a coordinator that is told so, and is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

OUTCOME = "classes: well | sick | worse"
CLASSES = '[data.classes]\nwell = ["well"]\nsick = ["sick"]\nworse = ["worse"]'


def declare(site: Path) -> None:
    """Three classes, of which north has two patients of the last and east one."""
    toml, table = site / "site.toml", site / "labels.csv"
    text = toml.read_text(encoding="utf-8")
    toml.write_text(
        text.replace('positive = ["sick"]\nnegative = ["well"]', CLASSES), encoding="utf-8"
    )
    worse = {"north": ("P1", "P3"), "east": ("P5",)}[site.name]
    lines = table.read_text(encoding="utf-8").splitlines()
    changed = [
        line.replace(",sick", ",worse") if line.split(",")[0] in worse else line for line in lines
    ]
    table.write_text("\n".join(changed) + "\n", encoding="utf-8")


def test_a_run_of_three_classes(deploy: Callable[..., Any]) -> None:
    deployment = deploy()
    for site in deployment.sites:
        declare(site)
    deployment.serve()
    clients = deployment.clients()
    deployment.wait(lambda: all("Connected to" in one.said for one in clients.values()))
    unsaid = deployment.submit("unsaid", reconnect_wait=0, rounds=1)
    told = f"north cannot take part: its site.toml declares the outcome '{OUTCOME}', and the run "
    deployment.wait(lambda: f"{told}predicts 'binary'" in unsaid.said, unsaid)
    deployment.command("stop", "unsaid", "--home", deployment.home)
    unsaid.popen.wait(120)
    deployment.finish(deployment.submit(outcome=OUTCOME, rounds=1))
    folder = deployment.run_folder()
    assert [list(one["sites"]) for one in deployment.rounds()] == [["east", "north"]] * 2
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))["config"]
    assert config["outcome"] == OUTCOME
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    # Too few patients of a class for anybody else's eyes.
    assert summary["pooled"]["outcome"] == "classes"
    assert summary["pooled"]["patients"] is None
    assert (folder / "model.safetensors").exists()
