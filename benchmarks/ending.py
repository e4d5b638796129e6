"""What each ending of a run would have given: last round, mean, probe, and points between them.

Takes finished runs with `end=guarded`, whose last checkpoints hold the probe and the mean, and
evaluates every point on the way from the probe to the mean in a cohort that took no part.

    .venv/bin/python -m benchmarks.ending --external ../shared/data/pediatric/external RUN ...
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from sklearn.metrics import log_loss, roc_auc_score

from server.evaluation.external import score_cohorts
from server.export.model_file import write_model
from server.federation.global_model import Reference, build_reference
from server.run.checkpoint import checkpoint_rounds, load_checkpoint
from server.run.folder import open_run
from shared.model.between import Delta, between
from shared.model.pretrained import load_base
from shared.settings.ending import SHARES

Found = Mapping[str, tuple[float, float]]
"""AUROC and log-loss of each ending."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--external", type=Path, required=True)
    options = parser.parse_args()
    results = {run.name: endings(run, options.external) for run in options.runs}
    print_table(results)


def endings(run: Path, external: Path) -> Found:
    """Of one run; read from its folder where they were computed before."""
    kept = run / "endings.json"
    if kept.exists():
        found: dict[str, tuple[float, float]] = json.loads(kept.read_text(encoding="utf-8"))
        return found
    folder = open_run(run)
    reference = build_reference(folder.config, load_base(folder.config))
    last = load_checkpoint(run, max(checkpoint_rounds(run)))
    if last is None or not last.probe or not last.mean:
        sys.exit(f"{run} did not end with end=guarded, or its checkpoints are gone.")
    candidates: dict[str, Delta] = {"last": last.delta}
    candidates |= {_name(share): between(last.probe, last.mean, share) for share in SHARES}
    results = {
        name: evaluate(run, delta, reference, external) for name, delta in candidates.items()
    }
    summary = json.loads(folder.summary.read_text(encoding="utf-8"))
    results["guarded"] = results[_name(summary["end"]["share"])]
    kept.write_text(json.dumps(results), encoding="utf-8")
    return results


def evaluate(run: Path, delta: Delta, reference: Reference, external: Path) -> tuple[float, float]:
    """AUROC and log-loss of the external patients under base plus delta."""
    with tempfile.TemporaryDirectory(prefix="fedthaw-") as place:
        other = Path(place) / "run"
        shutil.copytree(run, other, ignore=shutil.ignore_patterns("*.safetensors"))
        folder = open_run(other)
        config = dataclasses.replace(folder.config, update_dtype="float32")
        write_model(folder.model, reference, dict(delta), config)
        (scored,) = score_cohorts(other, [external])
    patients = scored.scores.patients
    truth, scores = [p.truth for p in patients], [p.score for p in patients]
    return float(roc_auc_score(truth, scores)), float(log_loss(truth, scores))


def _name(share: float) -> str:
    return f"{share:.0%} of the way"


def print_table(results: Mapping[str, Found]) -> None:
    """A row a run, AUROC / log-loss, then each ending minus the last round, mean (SD)."""
    names = list(next(iter(results.values())))
    print("| run | " + " | ".join(names) + " |")
    print("|---|" + "---|" * len(names))
    for run, found in results.items():
        cells = [f"{found[name][0]:.3f} / {found[name][1]:.3f}" for name in names]
        print(f"| {run} | " + " | ".join(cells) + " |")
    for number, what in enumerate(("AUROC", "log-loss")):
        cells = [
            _spread([found[name][number] - found["last"][number] for found in results.values()])
            for name in names
        ]
        print(f"| {what} minus the last round's | " + " | ".join(cells) + " |")
    print(f"{len(results)} runs", file=sys.stderr)


def _spread(values: Sequence[float]) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):+.3f} ({deviation:.3f})"


if __name__ == "__main__":
    main()
