"""Runs the jobs of the recipe benchmark one after the other; finished ones are kept."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.recipe_arms.job import (
    Job,
    Result,
    Trained,
    model_path,
    read_result,
    read_trained,
    write_job,
    write_result,
)
from client.settings import load_site

ROOT = Path(__file__).parents[2]
FEDTHAW = Path(sys.executable).parent / "fedthaw"


def prepare(job: Job, out: Path) -> None:
    """Decode all images of the job's sites into the caches, which lie in `out` if nowhere else."""
    os.environ["FEDTHAW_CACHE"] = str(out / "cache")
    folder = out / "prepare"
    folder.mkdir(parents=True, exist_ok=True)
    write_job(folder, job)
    _call([sys.executable, "-m", "benchmarks.recipe_arms.worker", "prepare", str(folder)], out)


def run(job: Job, out: Path) -> Result:
    """Train and evaluate, unless that has been done; what was interrupted starts again."""
    folder = out / f"{job.kind}-{_slug(job.arm)}-{job.seed}"
    result = read_result(folder)
    if result is not None:
        if _without_place(result.job) != _without_place(job):
            raise SystemExit(
                f"{folder} holds a run with other settings; give another --out, or remove it."
            )
        return result
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    print(f"{time.strftime('%H:%M:%S')} {job.arm}, seed {job.seed}", file=sys.stderr, flush=True)
    write_job(folder, job)
    started = time.monotonic()
    trained = _fedthaw(job, folder, out) if job.kind == "fedthaw" else _worker(folder, out)
    total = time.monotonic() - started
    auroc = _call(
        [sys.executable, "-m", "benchmarks.recipe_arms.worker", "external", str(folder)], out
    )
    result = Result(job, trained, total, float(auroc))
    write_result(folder, result)
    print(f"{job.arm}, seed {job.seed}: {trained.seconds:.0f} s (process {total:.0f} s), "
          f"{trained.all_bytes / 1e6:,.0f} MB, AUROC {result.auroc:.3f}",
          file=sys.stderr, flush=True)  # fmt: skip
    return result


def _fedthaw(job: Job, folder: Path, out: Path) -> Trained:
    """As a user calls it."""
    run_folder = folder / "run"
    _forget_features(job)
    settings = [
        word for setting in (*job.settings, f"seed={job.seed}") for word in ("--set", setting)
    ]
    if job.side_by_side:
        settings += ["--set", "threads=1", "--backend", "ray"]
    _call([str(FEDTHAW), "simulate", *job.sites, *settings, "--out", str(run_folder)], out)
    shutil.copy(run_folder / "model.safetensors", model_path(folder))
    summary = json.loads((run_folder / "summary.json").read_text(encoding="utf-8"))
    lines = (run_folder / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    rounds = [json.loads(line) for line in lines]
    return Trained(
        seconds=summary["seconds"]["total"],
        all_bytes=summary["bytes"]["down"] + summary["bytes"]["up"],
        training_bytes=sum(one["bytes_down"] + one["bytes_up"] for one in rounds),
    )


def _forget_features(job: Job) -> None:
    """Each run computes its own: what an earlier one has kept would make it faster."""
    for site in job.sites:
        shutil.rmtree(load_site(Path(site)).cache / "features", ignore_errors=True)


def _worker(folder: Path, out: Path) -> Trained:
    _call([sys.executable, "-m", "benchmarks.recipe_arms.worker", "train", str(folder)], out)
    return read_trained(folder)


def _call(words: list[str], out: Path) -> str:
    """Run a program from the repository's root, its progress on this terminal; what it printed."""
    environment = os.environ | {
        # Ray's workers look for this package there.
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "FLWR_HOME": str(out / "flower"),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    done = subprocess.run(
        words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def _slug(name: str) -> str:
    return name.replace(" ", "-").replace(",", "")


def _without_place(job: Job) -> Job:
    """Only what changes the result: the data may have been moved."""
    return dataclasses.replace(job, sites=tuple(Path(s).name for s in job.sites), external="")
