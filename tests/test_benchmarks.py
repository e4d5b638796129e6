"""The benchmark programs start; what they measure is asserted nowhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAMS = sorted(
    path.stem
    for path in (ROOT / "benchmarks").glob("*.py")
    if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
)


def start(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *words], cwd=ROOT, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip


def test_each_program_tells_its_options() -> None:
    assert {"recipe", "memory", "gpu", "aggregation"} <= set(PROGRAMS)
    started = {name: start(f"benchmarks.{name}", "--help") for name in PROGRAMS}
    for name, process in started.items():
        out, err = process.communicate()
        assert process.returncode == 0, f"{name}: {err}"
        assert "usage: " in out, name


def test_without_a_gpu_its_benchmark_says_so() -> None:
    process = start("benchmarks.gpu")
    out, err = process.communicate()
    assert (process.returncode, out) == (2, "")
    assert "no GPU" in err
