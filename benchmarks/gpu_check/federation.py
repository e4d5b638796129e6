"""A federation of synthetic hospitals on a device: repeated, killed and resumed, and on the CPU.

Each run is a process of the product's own command. Prints a table, then what held. Exits with 1
where the same run gave other bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from shared.phantoms.hospitals import HOSPITALS, write_hospitals

FEDTHAW = ("-c", "from shared.terminal.entry import main; main()")
KILLED_AFTER = 4
"""Rounds, of which the first three are the probe's."""


@dataclass(frozen=True)
class Row:
    """A finished run: its seconds, pooled AUROC and Brier score, the model's first digits."""

    seconds: float
    auroc: float
    brier: float
    model: str


def main() -> None:
    options = _parse()
    out = options.out.absolute()
    shutil.rmtree(out, ignore_errors=True)
    side, patients = (64, 24) if options.device == "cpu" else (256, 40)
    profiles = [replace(profile, patients=patients) for profile in HOSPITALS[:3]]
    sites = {
        device: _on(device, write_hospitals(out / f"sites-{device}", profiles, image_side=side))
        for device in dict.fromkeys(("cpu", options.device))
    }
    small = ("backbone=micro", "image-size=64", "threads=1")
    if options.device != "cpu":
        small = ("backbone=resnet18", "image-size=224", "threads=4")
    settings = (
        *small, "weights=random", "schedule=adaptive", "probe-rounds=3", "rounds=7", "patience=2",
        "seed=3",
    )  # fmt: skip
    print("| run | seconds | validation AUROC | Brier score | model |\n|---|---|---|---|---|")
    there, exact = sites[options.device], (*settings, "precision=float32")
    rows = {}
    for name, at, given in (
        ("float32 on the CPU", sites["cpu"], exact),
        ("float32", there, exact),
        ("float32 again", there, exact),
        ("precision=auto", there, settings),
        ("precision=auto again", there, settings),
        ("activations=int4", there, (*settings, "activations=int4")),
        ("optimizer=adamw8bit", there, (*settings, "optimizer=adamw8bit")),
    ):
        rows[name] = _show(name, _simulate(out / name.replace(" ", "-"), at, given))
    killed = out / "killed"
    _kill(killed, there, settings)
    rows["killed"] = _show("killed and resumed", _simulate(killed, (), (), "--resume"))
    raise SystemExit(not _held(rows))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", required=True, help="as in site.toml: cuda, cuda:1, cpu")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def _on(device: str, sites: Sequence[Path]) -> tuple[Path, ...]:
    for site in sites:
        file = site / "site.toml"
        text = file.read_text(encoding="utf-8").replace('device = "auto"', f'device = "{device}"')
        file.write_text(text, encoding="utf-8")
    return tuple(sites)


def _words(run: Path, sites: Sequence[Path], settings: Sequence[str], *more: str) -> list[str]:
    given = [word for one in settings for word in ("--set", one)]
    command = (sys.executable, *FEDTHAW, "simulate", *map(str, sites), "--out", str(run))
    return [*command, *given, *more]


def _simulate(run: Path, sites: Sequence[Path], settings: Sequence[str], *more: str) -> Row:
    begun = time.monotonic()
    done = subprocess.run(
        _words(run, sites, settings, *more), text=True, capture_output=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{run.name}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    digest = hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest()
    metrics = summary["pooled"]
    return Row(time.monotonic() - begun, metrics["auroc"], metrics["brier"], digest[:16])


def _kill(run: Path, sites: Sequence[Path], settings: Sequence[str]) -> None:
    """With SIGKILL, once so many rounds are on the disk."""
    process = subprocess.Popen(
        _words(run, sites, settings), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    ledger = run / "ledger.jsonl"
    while process.poll() is None:
        if ledger.exists() and len(ledger.read_bytes().splitlines()) >= KILLED_AFTER:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return
        time.sleep(0.02)
    raise SystemExit("The run that was to be killed ended before it could be.")


def _show(name: str, row: Row) -> Row:
    print(f"| {name} | {row.seconds:.1f} | {row.auroc:.4f} | {row.brier:.4f} | {row.model} |",
          flush=True)  # fmt: skip
    return row


def _held(rows: dict[str, Row]) -> bool:
    pairs = (
        ("float32", "float32 again"),
        ("precision=auto", "precision=auto again"),
        ("precision=auto", "killed"),
    )
    held = [rows[one].model == rows[other].model for one, other in pairs]
    print()
    for (one, other), same in zip(pairs, held, strict=True):
        print(f"{one} and {other}: {'the same bytes' if same else 'OTHER BYTES'}.")
    apart = abs(rows["float32"].auroc - rows["float32 on the CPU"].auroc)
    print(f"float32, AUROC on the device and on the CPU: {apart:.4f} apart.")
    return all(held)


if __name__ == "__main__":
    main()
