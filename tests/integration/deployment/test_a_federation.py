"""Set up, submit, look at it, as a coordinator and two hospitals would."""

from __future__ import annotations

import csv
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.audit.log import AuditLog, read
from shared.audit.verify import verify
from shared.terminal import cli

pytestmark = pytest.mark.slow


def test_a_run_of_two_hospitals(
    deploy: Callable[..., Any], undisturbed: Callable[..., str],
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    # Imported here: whoever collects the quick tests waits for neither.
    from mlflow.tracking import MlflowClient
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    deployment = deploy()
    store = f"sqlite:///{deployment.folder}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    server = deployment.serve()
    # So that it is seen soon what becomes of them when nothing is asked any more.
    clients = {site.name: deployment.client(site, faults={"ask": 2}) for site in deployment.sites}
    deployment.wait(lambda: all("Connected to" in one.said for one in clients.values()))
    waiting = [process.popen.pid for process in (server, *clients.values())]
    _check_light(waiting)
    submitted = deployment.submit(tensorboard="true")
    deployment.wait(lambda: len(deployment.rounds()) > 0, submitted)
    working = deployment.working()["worker.py"]
    assert len(working) == 2
    deployment.wait(lambda: len(deployment.rounds()) > 3, submitted)
    assert deployment.working()["worker.py"] == working
    said = deployment.finish(submitted)
    assert deployment.model() == undisturbed()
    rounds = deployment.rounds()
    assert [list(one["sites"]) for one in rounds] == [["east", "north"]] * 5
    assert all(one["refused"] == {} and list(one["absent"]) == [] for one in rounds)
    assert "Round 5/5" in said
    logs = EventAccumulator(str(deployment.run_folder("run") / "tensorboard")).Reload()
    assert [(one.step, one.value) for one in logs.Scalars("bytes/up")] == [
        (one["round"], one["bytes_up"]) for one in rounds
    ]
    _check_mlflow(deployment, MlflowClient(store), rounds[-1]["loss"])
    deployment.wait(lambda: not any(deployment.working().values()))
    _check_light(waiting)

    capsys.readouterr()
    assert cli.run(cli.app, ["server", "status", "--home", str(deployment.home), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["serving"] is True
    assert {name: site["connected"] for name, site in status["sites"].items()} == {
        "north": True,
        "east": True,
    }
    assert [(one["run"], one["state"]) for one in status["runs"]] == [("run", "complete")]
    assert status["runs"][0]["progress"]["round"] == 5
    assert [one["loss"] for one in status["runs"][0]["last"]] == [one["loss"] for one in rounds]

    assert here_is_right(deployment, capsys)
    assert clients["north"].end() == 0
    deployment.wait(lambda: "Site north has disconnected." in server.said, server)
    for line in ("Site north has connected.", "Run run has started.", "Run run is complete."):
        assert server.said.count(line) == 1
    _check_what_the_site_wrote_down(deployment, capsys)
    _check_scores_stayed_at_the_site(deployment, capsys)
    _check_what_the_coordinator_wrote_down(deployment)
    _check_private(deployment.home)
    _check_private(deployment.sites[0] / "federation")


def here_is_right(deployment: Any, capsys: pytest.CaptureFixture[str]) -> bool:
    """Whether `site test` finds nothing wrong at a site that is connected, and disturbs nothing."""
    code = cli.run(cli.app, ["site", "test", str(deployment.sites[0])])
    said = capsys.readouterr().out
    assert "registration  the coordinator knows this site's key" in said
    assert "`fedthaw site run` is running with it" in said
    return code == 0


def _check_light(processes: list[int]) -> None:
    """Those that wait for runs are without PyTorch, and some 100 and 140 MB large."""
    for process in processes:
        folder = Path(f"/proc/{process}")
        assert "libtorch" not in (folder / "maps").read_text()
        (resident,) = (
            int(line.split()[1]) for line in (folder / "status").read_text().splitlines()
            if line.startswith("VmRSS:")
        )  # fmt: skip
        assert resident < 250_000


def _check_mlflow(deployment: Any, client: Any, loss: float) -> None:
    """The run's process tells it the end of a run that is complete already."""
    number = json.loads((deployment.run_folder("run") / "mlflow.json").read_bytes())["run_id"]
    deployment.wait(lambda: client.get_run(number).info.status == "FINISHED")
    found = client.get_run(number)
    name = json.loads((deployment.run_folder("run") / "config.json").read_bytes())["run"]
    assert name.startswith("run-")
    assert (found.info.run_name, found.data.metrics["loss"]) == (name, loss)
    assert not any((deployment.home / "flower" / "empty").iterdir())


def _check_what_the_site_wrote_down(deployment: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(cli.app, ["site", "log", str(deployment.sites[0]), "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines if "event" in line] == ["approved"]
    entries = [line for line in lines if "type" in line]
    types = ["query", *["train"] * 5, "evaluate.candidates", "evaluate"]
    assert [entry["type"] for entry in entries] == types
    first, last = entries[1]["content"], entries[5]["content"]
    assert set(first["delta"]) == {"fc.weight", "fc.bias"}
    assert {name.split(".")[0] for name in last["delta"]} == {"fc", "layer4", "layer3", "layer2"}
    for entry in (*entries[1:6], entries[-1]):
        counts = entry["content"]["metrics"]
        assert sum(counts["positives"]) + sum(counts["negatives"]) > 0
    assert "delta" not in entries[6]["content"]  # counts of the candidates alone
    for entry in entries[1:]:
        assert entry["to"] == f"127.0.0.1:{deployment.port}"
        assert entry["bytes"] > 0
        assert entry["settings"]["seed"] == entries[0]["settings"]["seed"]
    assert [e["asked"]["content"]["plan"]["round"] for e in entries[1:6]] == [1, 2, 3, 4, 5]
    assert entries[5]["asked"]["content"]["plan"]["trainable"] == [
        "layer2",
        "layer3",
        "layer4",
        "head",
    ]
    assert verify(AuditLog(deployment.sites[0] / "federation" / "audit.jsonl")).intact
    # What is written down is what was counted at the other end.
    up = [one["bytes_up"] for one in deployment.rounds()]
    both = sum(entry["bytes"] for entry in entries[1:6])
    assert both < sum(up) < 3 * both


def _check_scores_stayed_at_the_site(deployment: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The site prints its own patients' scores; the coordinator has no patient's name or score."""
    folder = deployment.run_folder("run")
    run = json.loads((folder / "config.json").read_bytes())["run"]
    words = ["site", "scores", str(deployment.sites[0]), run]
    calibration = ["--calibration", str(folder / "calibration.json")]
    assert cli.run(cli.app, [*words, *calibration]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert rows
    assert {(row["site"], row["set"]) for row in rows} == {(deployment.sites[0].name, "validation")}
    assert all(0 < float(row["score"]) < 1 and row["truth"] in "01" for row in rows)
    texts = [
        path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".safetensors"
    ]
    for row in rows:
        assert not any(row["score"].encode() in text for text in texts if text)
    assert not list(folder.rglob("private-scores.csv"))


def _check_what_the_coordinator_wrote_down(deployment: Any) -> None:
    log = AuditLog(deployment.home / "audit.jsonl")
    assert verify(log).intact
    entries = list(read(log.path))
    connected = {entry["name"] for entry in entries if entry["event"] == "site connected"}
    assert connected == {site.name for site in deployment.sites}
    named = [(entry["event"], entry["name"]) for entry in entries if "name" in entry]
    order = [("run submitted", "run"), ("run started", "run"), ("run ended", "run")]
    assert [one for one in named if one in order] == order
    (ended,) = (entry for entry in entries if entry["event"] == "run ended")
    assert ended["state"] == "complete"
    (submitted,) = (entry for entry in entries if entry["event"] == "run submitted")
    assert submitted["settings"]["min-sites"] == len(deployment.sites)


def _check_private(folder: Path) -> None:
    """Nobody but the owner may read what lies in a private folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in (
        "key",
        "audit.jsonl",
        "audit.key",
        "audit.head",
        "approved.json",
        "ca.key",
        "server.key",
        "sites.json",
    ):
        for path in folder.rglob(name):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
