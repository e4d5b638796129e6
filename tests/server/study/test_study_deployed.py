"""`fedthaw study` at a coordinator, whose server process is played by what waits for it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from server.federation.connected import Presence
from server.link.jobs.orders import read_orders
from server.report.at_end import write_study
from server.results.study import AnyStudy
from server.run.failure import write_failure
from server.run.folder import RunFolder, write_config
from server.simulation.inprocess import local_grid, simulate_in_process
from server.study import deployed
from server.study.deployed import ask_for_study
from server.study.document import is_study, read_study
from shared.errors import FedThawError, RunError, SiteError
from shared.protocol.replies import own_sites
from shared.settings.parse import parse_run_config

Here = Callable[..., tuple[int, str, str]]
IN_ORDER = ["s-first-r0-f0", "s-full-r0-f0", "s-first-r0-f1", "s-full-r0-f1", "s"]


def but_for_bytes(result: AnyStudy) -> dict[str, Any]:
    """Messages name their run, and names differ in length."""
    found = asdict(result)
    for arm in found["arms"]:
        del arm["megabytes"]
    return found


def play_server(monkeypatch: pytest.MonkeyPatch, take: Callable[[], None]) -> None:
    monkeypatch.setattr(
        "server.cli.study_deployed.time", SimpleNamespace(sleep=lambda _seconds: take())
    )


@pytest.mark.slow
@pytest.mark.parametrize("outcome", ["binary", "classes: none | mild | severe"])
def test_its_runs_and_then_its_questions(
    outcome: str,
    command: list[object],
    declare: Callable[[Path, str], None],
    two_sites: list[Path],
    runs: list[str],
    here: Here,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The result is that of the same study simulated."""
    home, taken = tmp_path / "coordinator", []
    if outcome != "binary":
        for site in two_sites:
            declare(site, "classes")
    command = [*command, "--set", f"outcome={outcome}"]

    def take() -> None:
        waiting = [one for one in read_orders(home / "runs") if one.state == "waiting"]
        if not waiting:
            return
        order = waiting[0]
        taken.append(order.name)
        sites = os.pathsep.join(map(str, two_sites))
        config = replace(order.config, out=str(order.folder), sites=sites)
        if not is_study(order.folder):
            simulate_in_process(config, len(two_sites))
            return
        grid = local_grid(config, len(two_sites))
        nodes = sorted(grid.get_node_ids())
        there = {node: Presence(site.name, "") for node, site in zip(nodes, two_sites, strict=True)}
        monkeypatch.setattr(deployed, "connected", lambda *_: there)
        write_study(ask_for_study(grid, config, dict), order.folder)

    play_server(monkeypatch, take)
    with own_sites():
        code, said, stderr = here(*command, "--name", "s", "--json")
    assert code == 0, stderr
    assert taken == IN_ORDER
    assert "Submitted 5 of 5 orders of s." in stderr
    assert f"Bundle: {'0' * 64}" in stderr
    assert "fedthaw site approve FOLDER PLAN" in stderr
    assert "the study begins when `fedthaw server run" in stderr
    assert "5/5: counts and comparisons" in stderr
    result = read_study(home / "runs" / "s")
    assert json.loads(said) == json.loads((home / "runs" / "s" / "study.json").read_text())
    simulated = [command[0], *two_sites, *command[1:], "--out", "simulated"]
    assert here(*simulated)[0] == 0
    assert len(runs) == 4
    assert but_for_bytes(result) == but_for_bytes(read_study(tmp_path / "simulated"))

    code, _, stderr = here(*command, "--name", "s")
    assert (code, taken) == (0, IN_ORDER)
    assert "Submitted 0 of 5 orders" in stderr

    before = read_orders(home / "runs")
    with own_sites():
        assert here(*command, "--name", "s", "--repeats", 2)[0] == 0
    assert taken == [*IN_ORDER, *(name.replace("r0", "r1") for name in IN_ORDER)]
    assert len(read_orders(home / "runs")) == len(before) + 4


def test_a_study_that_grows_is_not_asked_about_before_its_runs(
    command: list[object], here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the command works, a server process finds no order for a study without a result."""
    out = tmp_path / "coordinator" / "runs" / "s"

    def leave() -> None:
        raise KeyboardInterrupt

    play_server(monkeypatch, leave)
    assert here(*command, "--name", "s")[0] == 130
    (out / "study.json").touch()
    seen: list[bool] = []

    def look(*arguments: object) -> list[object]:
        seen.append((out / "order.json").exists() and not (out / "study.json").exists())
        return []

    monkeypatch.setattr("server.cli.study_deployed.submit_study", look)
    assert here(*command, "--name", "s", "--repeats", 2)[0] == 2  # no result yet
    assert seen == [False]


def test_a_study_whose_scores_are_forgotten_grows_no_more(
    command: list[object], here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = tmp_path / "coordinator" / "runs" / "s" / "study.json"

    def leave() -> None:
        raise KeyboardInterrupt

    play_server(monkeypatch, leave)
    assert here(*command, "--name", "s")[0] == 130
    result.touch()
    month = time.time() - 31 * 24 * 3600
    os.utime(result, (month, month))
    code, _, stderr = here(*command, "--name", "s", "--repeats", 2)
    assert code == 2
    assert "s cannot grow any more: sites keep scores for 30 days" in stderr
    assert result.exists()
    assert len(read_orders(tmp_path / "coordinator" / "runs")) == len(IN_ORDER)


@pytest.mark.parametrize(("kind", "expected"), [(SiteError, 2), (RunError, 1)])
def test_a_run_that_failed_ends_the_command(
    command: list[object],
    here: Here,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[FedThawError],
    expected: int,
) -> None:
    def take() -> None:
        write_failure(tmp_path / "coordinator" / "runs" / "s-full-r0-f0", kind("It broke."))

    play_server(monkeypatch, take)
    code, _, stderr = here(*command, "--name", "s")
    assert code == expected
    assert "full, repeat 1, fold 1: It broke." in stderr
    assert "rerun the study's command" in stderr


def test_whoever_stops_watching_stops_nothing(
    command: list[object], here: Here, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def leave() -> None:
        raise KeyboardInterrupt

    play_server(monkeypatch, leave)
    code, _, stderr = here(*command, "--name", "s")
    assert code == 130
    assert "s goes on" in stderr
    orders = read_orders(tmp_path / "coordinator" / "runs")
    assert [(order.name, order.state) for order in orders] == [(one, "waiting") for one in IN_ORDER]


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--each-site",), "are for simulated studies"),
        (("--jobs", 2), "are for simulated studies"),
        (("--out", "runs/mine"), "are for simulated studies"),
        (("--set", "seed=3"), "seed is set by the study itself"),
        (("--set", "weights=absent.st"), "There is no weights file"),
        (("--name", "n" * 60), "Shorten one of them"),
        (("--name", "../x"), "../x"),
    ],
)
def test_what_will_not_do_leaves_no_order(
    command: list[object], here: Here, tmp_path: Path, more: tuple[object, ...], sentence: str
) -> None:
    code, _, stderr = here(*command, *more)
    assert code == 2
    assert sentence in stderr
    assert not read_orders(tmp_path / "coordinator" / "runs")


def test_the_name_of_a_run_is_taken(command: list[object], here: Here, tmp_path: Path) -> None:
    assert here("submit", "--detach", "--name", "s", "--set", "weights=random")[0] == 0
    code, _, stderr = here(*command, "--name", "s")
    assert code == 2
    assert "There is a run s already" in stderr
    assert not is_study(tmp_path / "coordinator" / "runs" / "s")


def test_another_studys_run_of_the_same_name_is_not_counted(
    command: list[object], here: Here, tmp_path: Path
) -> None:
    """Study `s` with arm `full a` and `s-full` with arm `a` give their runs the same names."""
    other = tmp_path / "coordinator" / "runs" / "s-full-r0-f1"
    config = parse_run_config({"backbone": "micro", "weights": "random", "rounds": 9})
    write_config(RunFolder(other, "s-full-r0-f1-abc", config), "sha256:abc", "random")
    code, _, stderr = here(*command, "--name", "s")
    assert code == 2
    assert "s-full-r0-f1 holds a run of other settings than arm 'full' has" in stderr
    assert "rounds is 9 there and 1 here" in stderr
    assert not read_orders(tmp_path / "coordinator" / "runs")
