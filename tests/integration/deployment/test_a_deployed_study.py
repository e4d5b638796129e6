"""A study at a coordinator's sites says what the same study in a simulation says to others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.terminal import cli

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
SECONDS = 400.0
ARMS = '[[arm]]\nname = "first"\n[[arm]]\nname = "baseline"\nset = { schedule = "logistic" }\n'


def result_in(folder: Path) -> dict[str, Any]:
    """What the study says, without the bytes moved: runs have other names in their messages."""
    result: dict[str, Any] = json.loads((folder / "study.json").read_text())
    for arm in result["arms"]:
        assert arm.pop("megabytes") > 0
    return result


def test_a_study_of_two_hospitals(
    deploy: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    deployment = deploy()
    arms, simulated = deployment.folder / "arms.toml", deployment.folder / "simulated"
    arms.write_text(ARMS)
    for site in deployment.sites:
        rules = (site / "site.toml").read_text()
        allowed = '[policy]\nschedules = ["adaptive", "logistic"]'
        (site / "site.toml").write_text(rules.replace("[policy]", allowed))
    # In the order that the coordinator has them in.
    folders = sorted(deployment.sites)
    given = ("--jobs", 2, "--arms", arms, "--out", simulated, "--set", "for-others=true")
    alone = deployment.study(*folders, *given, rounds=1)
    deployment.finish(alone, seconds=SECONDS)
    expected = result_in(simulated)

    deployment.serve()
    clients = deployment.clients()
    submitted = ("--home", deployment.home, "--arms", arms)
    said = deployment.finish(deployment.study(*submitted, rounds=1), seconds=SECONDS)
    assert "5/5: counts and comparisons" in said
    study = deployment.run_folder("study")
    assert result_in(study) == expected
    assert (study / "report.html").read_text().startswith("<!doctype html>")
    capsys.readouterr()
    assert cli.run(cli.app, ["report", str(study), "--out", str(study / "again.html")]) == 0

    # A run that is lost is run again, and the questions are asked again.
    (deployment.run_folder("study-baseline-r0-f1") / "summary.json").unlink()
    (study / "study.json").unlink()
    clients["north"].end()
    process = deployment.study(*submitted, rounds=1)
    deployment.wait(lambda: "Submitted 2 of 5 orders" in process.said, process)
    deployment.client(deployment.sites[0])
    deployment.finish(process, seconds=SECONDS)
    assert result_in(study) == expected


def test_what_cannot_be_studied_there(deploy: Callable[..., Any]) -> None:
    deployment = deploy()
    arms = deployment.folder / "arms.toml"
    arms.write_text('[[arm]]\nname = "alone"\nsites = ["north"]\n')
    given = ("--home", deployment.home, "--arms", arms)
    said = deployment.finish(deployment.study(*given), code=2)
    assert "Arm 'alone' is of some sites alone" in said
    said = deployment.finish(deployment.study(*given, "--each-site"), code=2)
    assert "--each-site, --quick, --jobs and --out are for simulated studies" in said
    arms.write_text(f'[[arm]]\nname = "{60 * "x"}"\n')
    said = deployment.finish(deployment.study(*given), code=2)
    assert "64 are allowed" in said
    assert list((deployment.home / "runs").glob("*/order.json")) == []
