"""The benchmark programs start; what they measure is asserted nowhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAMS = sorted(
    path.stem
    for path in (ROOT / "benchmarks").glob("*.py")
    if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
)


def start(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *words], cwd=ROOT, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip


HELP = """
import runpy, sys
for name in sys.argv[1:]:
    sys.argv = [name, "--help"]
    try:
        runpy.run_module(f"benchmarks.{name}", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        assert not end.code, name
    print("END OF", name, flush=True)
"""


@pytest.mark.slow
def test_each_program_says_what_its_options_do() -> None:
    """All in one process: each of them imports what trains."""
    assert {"recipe", "memory", "gpu", "aggregation"} <= set(PROGRAMS)
    process = start("-c", HELP, *PROGRAMS)
    out, err = process.communicate()
    assert process.returncode == 0, err
    texts = re.split(r"^END OF (\w+)$", out, flags=re.MULTILINE)
    assert texts[1::2] == PROGRAMS
    for name, text in zip(PROGRAMS, texts[::2], strict=False):
        assert text.lstrip().startswith("usage: "), name
        source = (ROOT / "benchmarks" / f"{name}.py").read_text(encoding="utf-8")
        options = set(re.findall(r'add_argument\(\s*"(--[a-z-]+)"', source))
        assert options <= set(re.findall(r"--[a-z-]+", text)), name


def test_without_a_gpu_its_benchmark_says_so() -> None:
    process = start("-m", "benchmarks.gpu")
    out, err = process.communicate()
    assert (process.returncode, out) == (2, "")
    assert "no GPU" in err


def test_the_check_of_a_gpu_says_that_there_is_none() -> None:
    process = start("-m", "benchmarks.gpu_check")
    out, err = process.communicate()
    assert (process.returncode, out) == (2, "")
    assert "--rehearse takes the CPU" in err


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_federation_of_that_check_gives_the_same_bytes(tmp_path: Path) -> None:
    """On the CPU: a rehearsal of what a GPU has to show, killed run and all."""
    process = start("-m", "benchmarks.gpu_check.federation", "--device", "cpu", "--out",
                    str(tmp_path / "out"))  # fmt: skip
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert out.count(": the same bytes.") == 3
    assert len(set(re.findall(r"\| (\w{16}) \|$", out, flags=re.MULTILINE))) == 4
