"""All that has to be seen on a GPU, in one command of at most eight minutes.

The tests of a round on the device; a federation there, with each precision, twice, and killed and
resumed, beside the CPU; images a second and how busy the GPU is at 512 px; the peak memory of a
step. Each part is a process of its own, with a limit. What they print is shown, and kept in
`--out`, a file each. Exits with 1 where a part fails or is cut off, with 2 where there is no GPU.

It needs the packages of the project and of its tests. For a machine without a connection, fetch
what it lacks elsewhere (`pip download --dest wheels ...`), and install from that folder there
(`pip install --no-index --find-links wheels ...`).

    .venv/bin/python -m benchmarks.gpu_check [--out gpu-check]

`--rehearse` goes through all parts on the CPU, with small networks and images.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import name_of_device

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Part:
    """One process: its name, its arguments for Python, and the most seconds that it may take."""

    name: str
    words: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class Done:
    """How a part ended, after how many seconds."""

    part: Part
    outcome: str
    seconds: float


def main() -> None:
    options = _parse()
    device = "cpu" if options.rehearse else "cuda"
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            print("There is no GPU here that PyTorch can use; --rehearse takes the CPU.",
                  file=sys.stderr)  # fmt: skip
            raise SystemExit(2)
    out = options.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    print(f"{name_of_device(device)}; at most {options.seconds:g} s", flush=True)
    until = time.monotonic() + options.seconds
    done = [_run(part, device, out, until) for part in _parts(device, out)]
    print("\n| part | outcome | seconds |\n|---|---|---|")
    for one in done:
        print(f"| {one.part.name} | {one.outcome} | {one.seconds:.0f} |")
    raise SystemExit(any(one.outcome != "passed" for one in done))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--out", type=Path, default=Path("gpu-check"), help="folder of what the parts print")
    add("--seconds", type=float, default=470.0, help="for all parts together")
    add("--rehearse", action="store_true", help="on the CPU, small")
    return parser.parse_args()


def _parts(device: str, out: Path) -> Sequence[Part]:
    small = device == "cpu"
    tests = ("tests/client/train", "tests/client/model/test_precision.py")
    network = ("--backbone", "micro" if small else "resnet50")
    side = ("--image-size", "64" if small else "512")
    few = ("--steps", "1" if small else "10", "--patients", "16" if small else "96")
    means = (
        "activations=recompute", "activations=int4", "optimizer=adamw8bit",
        "activations=int4+optimizer=adamw8bit", "precision=bfloat16+activations=int4",
    )  # fmt: skip
    federation = ("--device", device, "--out", str(out / "federation"))
    memory_side = ("--image-size", "64" if small else "224")
    return (
        Part("tests", ("-m", "pytest", "-n", "0", "-q", "-rs", *tests), 120),
        Part("federation", ("-m", "benchmarks.gpu_check.federation", *federation), 240),
        Part("images a second", ("-m", "benchmarks.gpu", "--device", device, *network, *side, *few),
             200),
        Part("memory", ("-m", "benchmarks.memory", "--device", device, *network, *memory_side,
             "--steps", "1", "--widths", "layer2", "--means", *means), 120),
    )  # fmt: skip


def _run(part: Part, device: str, out: Path, until: float) -> Done:
    """Its output goes into its file, and to the screen once it has ended."""
    print(f"\n## {part.name}\n", flush=True)
    begun = time.monotonic()
    limit = min(part.seconds, until - begun)
    if limit <= 0:
        return Done(part, "no time was left", 0.0)
    environment = os.environ | {
        "FEDTHAW_TEST_DEVICE": device, "PYTHONUNBUFFERED": "1",
        "KINETO_LOG_LEVEL": "9",  # the profiler tells of each start and stop
    }  # fmt: skip
    path = out / f"{part.name.replace(' ', '-')}.txt"
    with path.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            [sys.executable, *part.words], cwd=ROOT, env=environment, text=True,
            stdout=file, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            outcome = "passed" if process.wait(limit) == 0 else f"failed ({process.returncode})"
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            outcome = f"cut off after {limit:.0f} s"
    print(path.read_text(encoding="utf-8"), flush=True)
    return Done(part, outcome, time.monotonic() - begun)


if __name__ == "__main__":
    main()
