"""A site that fails in the middle of a round, and disks that are full."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

FIRE = "an unexpected RuntimeError while answering a 'train' message: the detector caught fire"
NOT_FINITE = (
    "layer2.0.conv1.weight holds values that are not finite (NaN or infinite): the training there "
    "has diverged, so lower the learning rates (lr-head, rates) in a new run"
)


FAILURES = [("raise", FIRE), ("nan", NOT_FINITE)]


@pytest.mark.slow
@pytest.mark.parametrize(("act", "reason"), FAILURES)
def test_a_site_that_fails_for_good(
    tmp_path: Path, kept_sites: Any, tiny: Any, fedthaw: Any, here: Any, rounds_in: Any,
    model_of: Any, undisturbed: Any, act: str, reason: str,
) -> None:  # fmt: skip
    """The run stops, and once it is mended it goes on as if nothing had been."""
    run = tmp_path / "run"
    faults = {"site": "north", "round": 2, "act": act, "times": 9}
    outcome = fedthaw.run(*tiny(*kept_sites, out=run), faults=faults)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.last_line == (
        "fedthaw: Round 2 was asked 3 times and had 1 usable reply of at least 2 (min-sites). "
        f"north: {reason}. The rounds before it are kept: fix this and continue with --resume."
    )
    assert outcome.err.count(f"north excluded: {reason}\n") == 3
    assert rounds_in(run) == 1
    assert here(*tiny(*kept_sites, out=run), "--resume").code == 0
    assert not (run / "failure.json").exists()
    assert model_of(run) == undisturbed()


@pytest.mark.slow
@pytest.mark.parametrize(("act", "reason"), FAILURES)
def test_a_site_that_fails_once(
    tmp_path: Path, kept_sites: Any, tiny: Any, fedthaw: Any, model_of: Any, undisturbed: Any,
    act: str, reason: str,
) -> None:  # fmt: skip
    """The round is asked again, and nothing is different."""
    run = tmp_path / "run"
    faults = {"site": "north", "round": 2, "act": act}
    outcome = fedthaw.run(*tiny(*kept_sites, out=run), faults=faults)
    assert outcome.code == 0
    assert f"north excluded: {reason}\nRound 2: 1 of 2 usable replies" in outcome.err
    assert model_of(run) == undisturbed()


@pytest.mark.slow
def test_debug_shows_where_it_failed(
    tmp_path: Path, kept_sites: Any, tiny: Any, fedthaw: Any
) -> None:
    process = fedthaw.start(
        "--debug", *tiny(*kept_sites, out=tmp_path / "run", retries=0),
        faults={"site": "north", "round": 1, "act": "raise"},
    )  # fmt: skip
    _, err = process.communicate()
    assert process.returncode == 1
    assert "Traceback" in err
    assert "RuntimeError: the detector caught fire" in err
    assert "server.training.rounds" in err.replace("/", ".")


@pytest.mark.slow
def test_a_full_disk_at_a_site(
    tmp_path: Path, two_sites: Any, tiny: Any, fedthaw: Any, here: Any, rounds_in: Any
) -> None:
    """The operating system refuses files above a size, as it refuses any on a full disk."""
    # The images are decoded before, by helpers whose memory such a limit would count as a file.
    assert here(*tiny(*two_sites, out=tmp_path / "before", rounds=0)).code == 0
    process = fedthaw.start(*tiny(*two_sites, out=tmp_path / "run", retries=0))
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (200_000, 200_000))
    outcome = fedthaw.end(process)
    assert outcome.code == 1
    assert outcome.last_line.startswith(
        "fedthaw: Round 2 was asked once and had 0 usable replies of at least 2 (min-sites). east: "
        f"The state of round 2 cannot be written to {os.environ['FEDTHAW_CACHE']}/sites/east-"
    )
    assert "make room there, or name another place as [compute] cache in site.toml" in outcome.err
    assert rounds_in(tmp_path / "run") == 1
    assert here("simulate", "--out", tmp_path / "run", "--resume").code == 0


SCRIPT = """
mount -t tmpfs -o size=700k none "$0" || exit 77
"$@"; echo "$?" > ended
mount -o remount,size=9m "$0"
ls -A "$0/run" > left
"$@" --resume; echo "$?" >> ended
sha256sum "$0/run/model.safetensors" | cut -d" " -f1 > digest
"""


@pytest.mark.slow
def test_a_full_disk_at_the_coordinator(
    tmp_path: Path, kept_sites: Any, tiny: Any, fedthaw: Any, undisturbed: Any
) -> None:
    """A disk of 700 kB takes two checkpoints and no third update; then there is room again."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-m", "true"], check=False).returncode:
        pytest.skip("only root may mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    outcome = fedthaw.run(
        *tiny(*kept_sites, out=disk / "run"), prefix=(unshare, "-m", "sh", "-c", SCRIPT, str(disk))
    )
    if outcome.code == 77:
        pytest.skip(f"no small disk: {outcome.err}")
    assert (tmp_path / "ended").read_text(encoding="utf-8").split() == ["1", "0"]
    assert (
        f"fedthaw: The update of north cannot be kept in {disk}/run ([Errno 28] No space left on "
        "device). Make room there and continue with --resume.\n"
    ) in outcome.err
    assert "continues after round 2: 4 rounds" in outcome.err
    assert set((tmp_path / "left").read_text(encoding="utf-8").split()) == {
        ".lock", "config.json", "failure.json", "ledger.jsonl", "progress.json", "run.log",
        "round-0001.safetensors", "round-0002.safetensors",
    }  # fmt: skip
    digest = (tmp_path / "digest").read_text(encoding="utf-8").strip()
    assert digest == undisturbed()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "rounds", "sentence"),
    [
        ("config.json", 0, "The run's folder {run} cannot be written (No space left on device); "
         "choose another with --out."),
        ("ledger.jsonl", 0, "The ledger {run}/ledger.jsonl cannot be written (No space left on "
         "device). The rounds before are safe: make room there and continue with --resume."),
        ("round-0002.safetensors", 1, "The checkpoint of round 2 cannot be written to {run} "
         "([Errno 28] No space left on device). The rounds before it are safe: make room there "
         "and continue with --resume."),
        ("model.safetensors", 4, "The final model cannot be written to {run}/model.safetensors "
         "([Errno 28] No space left on device); make room there and continue with --resume."),
        ("summary.json", 4, "The summary cannot be written to {run}/summary.json (No space left "
         "on device); make room there and continue with --resume."),
    ],
)  # fmt: skip
def test_a_full_disk_whatever_is_written(
    tmp_path: Path, kept_sites: Any, tiny: Any, fedthaw: Any, here: Any, rounds_in: Any,
    file: str, rounds: int, sentence: str,
) -> None:  # fmt: skip
    run = tmp_path / "run"
    outcome = fedthaw.run(*tiny(*kept_sites, out=run), faults={"full": file})
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.last_line == f"fedthaw: {sentence.replace('{run}', str(run))}"
    assert rounds_in(run) == rounds
    assert not list(run.glob("*.tmp"))
    assert not list(run.glob(".*.tmp"))
    assert here(*tiny(*kept_sites, out=run), "--resume").code == 0
    assert json.loads((run / "summary.json").read_text(encoding="utf-8"))["rounds"] == 4
