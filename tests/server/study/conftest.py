"""Studies of tiny sites, their runs in this process."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from shared.deployment.keys import generate_private_key, public_key_line
from shared.run import bundle
from shared.run.bundle import Bundle
from shared.terminal import cli

TINY = ("backbone=micro", "weights=random", "image-size=32", "threads=1", "probe-rounds=1",
        "rounds=1", "augmentation=none", "lr-probe=0.05")  # fmt: skip


@pytest.fixture(scope="session")
def words() -> Callable[..., list[object]]:
    """The command line of a small study: `words(sites, out, *more)`."""

    def line(sites: Sequence[Path], out: Path, *more: object) -> list[object]:
        settings = [word for one in TINY for word in ("--set", one)]
        return ["study", *sites, "--folds", 2, "--repeats", 2, "--out", out, *settings, *more]

    return line


@pytest.fixture
def two_sites(tmp_path: Path, write_site: Callable[..., Path]) -> list[Path]:
    """Folders of two small sites."""
    return [write_site(tmp_path / "sites", name, 14, seed=n) for n, name in enumerate(("a", "b"))]


@pytest.fixture
def command(
    tmp_path: Path,
    here: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> list[object]:
    """The command line of a small study at a coordinator without a server process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bundle, "build_bundle", lambda: Bundle(b"code", "0" * 64))
    assert here("server", "init", "--name", "hub")[0] == 0
    for site in ("north", "east"):
        line = public_key_line(generate_private_key(), site)
        assert here("server", "register", site, line)[0] == 0
    (tmp_path / "arms.toml").write_text(
        '[[arm]]\nname = "first"\n[[arm]]\nname = "full"\nset = { schedule = "full" }\n'
    )
    settings = [word for one in (*TINY, "min-sites=2") for word in ("--set", one)]
    return ["study", "--arms", "arms.toml", "--folds", 2, "--repeats", 1, *settings]


@pytest.fixture
def graded(two_sites: list[Path]) -> list[Path]:
    """The same with a clinical grade of 1 to 4 that knows a little; two patients have none."""
    for seed, site in enumerate(two_sites):
        rng = np.random.default_rng(seed)
        grades = {f"P{n}": str(int(rng.integers(1, 4)) + n % 2) for n in range(14)} | {"P3": ""}
        with (site / "labels.csv").open() as table:
            rows = list(csv.DictReader(table))
        lines = ["patient,file,outcome,grade"]
        lines += [f"{r['patient']},{r['file']},{r['outcome']},{grades[r['patient']]}" for r in rows]
        (site / "labels.csv").write_text("\n".join(lines) + "\n")
        toml = (site / "site.toml").read_text()
        (site / "site.toml").write_text(toml.replace("[compute]", 'covariate = "grade"\n[compute]'))
    return two_sites


@pytest.fixture(scope="session")
def run_cells_here() -> Callable[[pytest.MonkeyPatch], list[str]]:
    """Run each cell here instead of in a process of its own; which were run is in the result.

    They leave no page, whose drawings take most of the time of such a small run.
    """

    def change(patch: pytest.MonkeyPatch) -> list[str]:
        begun: list[str] = []

        def simulate(cell: object, words: Sequence[str]) -> None:
            begun.append(f"{cell.arm.name} {cell.repeat} {cell.fold}")  # type: ignore[attr-defined]
            assert cli.run(cli.app, ["simulate", *words]) == 0

        patch.setattr("server.study.cells.simulate_in_own_process", simulate)
        patch.setattr("server.app.write_report_at_end", lambda run: None)
        return begun

    return change


@pytest.fixture
def runs(
    monkeypatch: pytest.MonkeyPatch, run_cells_here: Callable[[pytest.MonkeyPatch], list[str]]
) -> list[str]:
    """The cells that were run, in this process."""
    return run_cells_here(monkeypatch)


CLASSES = '[data.classes]\nnone = ["n"]\nmild = ["m"]\nsevere = ["s"]\n'
LABELS = "".join(
    f'[data.labels.{name}]\ncolumn = "{name}"\npositive = [1]\nnegative = [0]\n'
    for name in ("left", "right")
)


@pytest.fixture
def declare() -> Callable[[Path, str], None]:
    """Give a site of a finding classes, ordinal classes or labels, by its patients' numbers."""
    return _declare


def _declare(site: Path, kind: str) -> None:
    with (site / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    with (site / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["patient", "file", "outcome", "left", "right"])
        for row in rows:
            number = int(row["patient"][1:])
            right = "" if number % 5 == 0 else number % 2
            writer.writerow(
                [row["patient"], row["file"], "nms"[number % 3], number // 2 % 2, right]
            )
    lines = (site / "site.toml").read_text().splitlines()
    dropped = ("positive", "negative", *(["outcome"] if kind == "labels" else []))
    text = [line for line in lines if not line.startswith(dropped)]
    if kind == "labels":
        text = [line.replace('labels = "labels.csv"', 'table = "labels.csv"') for line in text]
    ordinal = ["ordinal = true"] if kind == "ordinal" else []
    at = text.index("[compute]")
    text[at:at] = [*ordinal, LABELS if kind == "labels" else CLASSES]
    (site / "site.toml").write_text("\n".join(text) + "\n")
