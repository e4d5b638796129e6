"""Whole runs with scripted sites: interrupted anywhere and continued, they end the same."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from server.federation.context import Federation
from server.federation.quorum import wait_for_sites
from server.run.checkpoint import checkpoint_rounds
from server.run.folder import locked, open_run
from server.run.ledger import read_rounds
from shared.errors import RunError, WeightsError
from shared.model.network import build_network
from shared.model.pretrained import load_base
from shared.run.events import Event, RoundFinished, RunStarted, SiteJoined, Warned
from shared.settings.config import RunConfig

MakeSites = Callable[..., tuple[Any, Any]]
Run = Callable[..., tuple[dict[str, Any], list[Event]]]


def interrupt(at_round: int) -> Callable[[int, str], None]:
    def at(number: int, site: str) -> None:
        if number == at_round:
            raise KeyboardInterrupt

    return at


def results(folder: Path) -> dict[str, Any]:
    """What must not depend on interruptions."""
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    lines = (folder / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    timed = ("seconds", "wait_seconds")
    return {
        "model": (folder / "model.safetensors").read_bytes(),
        "checkpoints": {p.name: p.read_bytes() for p in folder.glob("round-*.safetensors")},
        "ledger": [{k: v for k, v in json.loads(one).items() if k not in timed} for one in lines],
        "pooled": summary["pooled"],
        "bytes": summary["bytes"],
    }


def test_a_whole_run(run: Run, tmp_path: Path) -> None:
    summary, events = run()
    folder = tmp_path / "run"
    assert json.loads((folder / "summary.json").read_text(encoding="utf-8")) == summary
    assert (summary["rounds"], summary["sites"]) == (5, ["east", "north", "south"])
    assert summary["run"] == open_run(folder).run
    assert summary["missing"] == {}
    assert summary["bytes"]["full_exchange"] > summary["bytes"]["down"] > 0
    assert {path.name for path in folder.iterdir()} >= {
        "config.json",
        "ledger.jsonl",
        "model.safetensors",
        "summary.json",
    }
    build_network("micro").load_state_dict(load_file(folder / "model.safetensors"))
    assert [type(event) for event in events[:4]] == [*[SiteJoined] * 3, RunStarted]
    assert [e.round for e in events if isinstance(e, RoundFinished)] == [1, 2, 3, 4, 5]


REGISTERED = {b"1001": "north", b"1002": "east", b"1003": "south", b"1004": "west"}


def test_a_registered_site_that_never_comes(run: Run, tmp_path: Path) -> None:
    summary, events = run(registry=lambda: REGISTERED, reconnect_wait=0)
    assert summary["sites"] == ["east", "north", "south"]
    assert [record.absent for record in read_rounds(tmp_path / "run" / "ledger.jsonl")] == [
        ("west",)
    ] * 5
    assert not any(isinstance(event, Warned) for event in events)


def test_whom_each_round_waits_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """At first all that are registered, then who was there, then who took part in the last."""
    expected = []

    def look(federation: Federation, names: Collection[str] = ()) -> Any:
        expected.append(sorted(names))
        return wait_for_sites(federation, names)

    for module in ("training.coordinate", "training.rounds", "evaluation.everybody"):
        monkeypatch.setattr(f"server.{module}.wait_for_sites", look)

    def fail(number: int, site: str) -> None:
        if (number, site) == (2, "north"):
            raise MemoryError

    run(at=fail, registry=lambda: REGISTERED, reconnect_wait=0, min_sites=2, end="last")
    everybody = ["east", "north", "south"]
    assert expected == [
        sorted(REGISTERED.values()),
        everybody,
        everybody,
        ["east", "south"],
        everybody,
        everybody,
        everybody,
    ]


def test_a_run_that_is_stopped_goes_on_from_there(run: Run, tmp_path: Path) -> None:
    def stop(number: int, site: str) -> None:
        if number == 3:
            (tmp_path / "cut" / "stop").touch()

    run("whole")
    with pytest.raises(RunError, match="`fedthaw submit --resume cut` continues it"):
        run("cut", stop)
    (tmp_path / "cut" / "stop").unlink()
    run("cut", resume=True)
    assert results(tmp_path / "cut") == results(tmp_path / "whole")


def test_only_the_last_two_checkpoints_and_the_best_stay(run: Run, tmp_path: Path) -> None:
    run()
    lines = (tmp_path / "run" / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    aurocs = {
        json.loads(line)["round"] - 1: json.loads(line)["validation"]["auroc"] for line in lines
    }
    best = max((after for after in aurocs if after > 0), key=lambda after: aurocs[after])
    assert checkpoint_rounds(tmp_path / "run") == sorted({4, 5, best})


@pytest.mark.parametrize(("strategy", "at_round"), [("fedavg", 2), ("fedadam", 4), ("fedavgm", 3)])
def test_a_continued_run_ends_as_if_never_interrupted(
    run: Run, tmp_path: Path, strategy: str, at_round: int
) -> None:
    run("whole", strategy=strategy)
    with pytest.raises(KeyboardInterrupt):
        run("cut", interrupt(at_round), strategy=strategy)
    _, events = run("cut", resume=True, strategy=strategy)
    started = next(event for event in events if isinstance(event, RunStarted))
    assert started.done == at_round - 1
    assert results(tmp_path / "cut") == results(tmp_path / "whole")


def test_two_runs_are_equal_to_the_last_bit(run: Run, tmp_path: Path) -> None:
    run("one")
    run("two")
    assert results(tmp_path / "one") == results(tmp_path / "two")


def test_a_crash_between_checkpoint_and_ledger(run: Run, tmp_path: Path) -> None:
    """The round whose line is missing is done again; the later checkpoint is not trusted."""
    run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("cut", interrupt(4))
    ledger = tmp_path / "cut" / "ledger.jsonl"
    lines = ledger.read_text(encoding="utf-8").splitlines(keepends=True)
    ledger.write_text("".join(lines[:2]) + lines[2][:100], encoding="utf-8")
    _, events = run("cut", resume=True)
    assert next(e for e in events if isinstance(e, RunStarted)).done == 2
    assert not any(isinstance(event, Warned) for event in events)
    assert results(tmp_path / "cut") == results(tmp_path / "whole")


def test_a_damaged_checkpoint_is_passed_over(run: Run, tmp_path: Path) -> None:
    run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("cut", interrupt(4))
    newest = tmp_path / "cut" / "round-0003.safetensors"
    newest.write_bytes(newest.read_bytes()[:-10])
    _, events = run("cut", resume=True)
    assert [event.text for event in events if isinstance(event, Warned)] == [
        "The ledger has 3 rounds, but the newest whole checkpoint is of round 2 (damaged: 3); "
        "the run goes on after that one. The lines of the rounds after it are kept in "
        "ledger-undone.jsonl."
    ]
    assert results(tmp_path / "cut") == results(tmp_path / "whole")
    (undone,) = (tmp_path / "cut" / "ledger-undone.jsonl").read_text("utf-8").splitlines()
    assert json.loads(undone)["round"] == 3


def test_checkpoints_that_are_gone(run: Run, tmp_path: Path) -> None:
    """What was done is not thrown away: they may be on a disk that is not there now."""
    run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("cut", interrupt(4))
    folder, kept = tmp_path / "cut", tmp_path / "kept"
    ledger = (folder / "ledger.jsonl").read_bytes()
    shutil.copytree(folder, kept)
    for path in folder.glob("round-*.safetensors"):
        path.unlink()
    with pytest.raises(RunError, match=r"has 3 rounds, but no whole checkpoint is in .*; put the"):
        run("cut", resume=True)
    for path in kept.glob("round-*.safetensors"):
        (folder / path.name).write_bytes(b"")
    with pytest.raises(
        RunError, match=r"no whole checkpoint is in .* \(damaged: .*2, 3\); put the"
    ):
        run("cut", resume=True)
    assert (folder / "ledger.jsonl").read_bytes() == ledger
    shutil.copytree(kept, folder, dirs_exist_ok=True)
    run("cut", resume=True)
    assert results(folder) == results(tmp_path / "whole")


def test_a_ledger_that_was_cut_off_by_hand(run: Run, tmp_path: Path) -> None:
    """As whoever reads a damaged one is told to."""
    run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("cut", interrupt(5))
    folder = tmp_path / "cut"
    for number in (1, 2):
        (folder / f"round-{number:04d}.safetensors").unlink(missing_ok=True)
    ledger = folder / "ledger.jsonl"
    ledger.write_text("".join(ledger.read_text("utf-8").splitlines(True)[:2]), encoding="utf-8")
    _, events = run("cut", resume=True)
    assert next(e for e in events if isinstance(e, RunStarted)).done == 0
    assert results(folder) == results(tmp_path / "whole")


def test_a_checkpoint_that_cannot_be_opened_now(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be whole: nothing is done, so that nothing is lost."""
    run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("cut", interrupt(4))
    before = {path.name: path.read_bytes() for path in (tmp_path / "cut").iterdir()}
    opened = Path.open

    def fail(path: Path, *words: Any, **more: Any) -> Any:
        if path.name == "round-0003.safetensors":
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return opened(path, *words, **more)

    with monkeypatch.context() as stale:
        stale.setattr(Path, "open", fail)
        with pytest.raises(RunError, match=r"round-0003\.safetensors cannot be read \(Stale file"):
            run("cut", resume=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "cut").iterdir()} == before
    run("cut", resume=True)
    assert results(tmp_path / "cut") == results(tmp_path / "whole")


def test_a_disk_that_fills_up_in_the_middle(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("whole")
    replace = os.replace

    def refuse(source: Path, target: Path) -> None:
        if target.name == "round-0003.safetensors":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    with monkeypatch.context() as full:
        full.setattr(os, "replace", refuse)
        with pytest.raises(RunError, match="checkpoint of round 3 cannot be written"):
            run("cut")
    assert checkpoint_rounds(tmp_path / "cut") == [1, 2]
    run("cut", resume=True)
    assert results(tmp_path / "cut") == results(tmp_path / "whole")


def test_continuing_a_finished_run_changes_nothing(run: Run, tmp_path: Path) -> None:
    run()
    before = results(tmp_path / "run")
    _, events = run(resume=True)
    assert not any(isinstance(event, RoundFinished) for event in events)
    assert results(tmp_path / "run") == before


def test_the_base_of_a_run_does_not_change(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(at=interrupt(2))
    file = tmp_path / "run" / "config.json"
    document = json.loads(file.read_text(encoding="utf-8"))
    document["base"]["digest"] = "sha256:other"
    file.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(WeightsError, match="began with the base sha256:other, but weights=random"):
        run(resume=True)


def test_two_coordinators_do_not_share_a_folder(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.run.folder.PATIENCE_SECONDS", 0.5)
    with pytest.raises(KeyboardInterrupt):
        run(at=interrupt(2))
    with (
        locked(open_run(tmp_path / "run")),
        pytest.raises(RunError, match="Another process is working on the run"),
    ):
        run(resume=True)


def test_sites_that_fail_before_the_first_round_leave_the_folder_free(
    run: Run, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=r"3 of at least 4 sites \(min-sites\)"):
        run(min_sites=4, round_timeout=1)
    summary, _ = run()
    assert summary["rounds"] == 5


def test_frozen_stages_of_the_final_model_are_the_base(
    run: Run, tmp_path: Path, config: RunConfig
) -> None:
    run()
    state = load_file(tmp_path / "run" / "model.safetensors")
    base = load_base(config).state
    changed = {k.split(".")[0] for k in state if not torch.equal(state[k], base[k])}
    assert changed == {"layer2", "layer3", "layer4", "fc"}


def test_exact_numbers_are_kept_in_private_until_the_run_ends(run: Run, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(at=interrupt(4))
    private = tmp_path / "run" / "not-for-sharing.jsonl"
    assert private.stat().st_mode & 0o077 == 0
    exact = [json.loads(line) for line in private.read_text(encoding="utf-8").splitlines()]
    assert [line["sites"]["south"]["patients"] for line in exact] == [10] * 3
    shown = (tmp_path / "run" / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["sites"]["south"]["patients"] for line in shown] == [None] * 3
    run(resume=True)
    assert not private.exists()
    lines = (tmp_path / "run" / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    assert lines[:3] == shown
