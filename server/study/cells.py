"""The runs of a study: one for each arm, repeat and fold, each in a folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.results.plan import Arm, SimulatedStudy, StudyPlan
from server.run.summary import read_summary
from shared.errors import RunError, UserError
from shared.settings.setting import Scalar, value_in_words

FEDTHAW = (sys.executable, "-c", "from shared.terminal.cli import main; main()")
"""The command, in a process of its own."""
SUBMITTED = "submitted"
"""A file in the folder of a study whose runs were submitted to a coordinator."""


@dataclass(frozen=True)
class Cell:
    """One run of the study."""

    arm: Arm
    repeat: int
    fold: int

    def folder(self, out: Path) -> Path:
        """The run's folder: in the study's folder, or next to it where it was submitted."""
        if (out / SUBMITTED).exists():
            return out.parent / f"{out.name}-{self.arm.folder}-r{self.repeat}-f{self.fold}"
        return out / self.arm.folder / f"repeat-{self.repeat}-fold-{self.fold}"

    def named(self) -> str:
        """The cell in words."""
        return f"{self.arm.name}, repeat {self.repeat + 1}, fold {self.fold + 1}"

    def settings(self, folds: int, shared: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """The run's own, those of all arms beneath them."""
        own: dict[str, Scalar] = {"folds": folds, "fold": self.fold, "seed": self.repeat}
        return {**shared, **self.arm.settings, **own}


def cells_of(plan: StudyPlan) -> Iterator[Cell]:
    """All cells; a whole repeat of all arms before the next, so that early results are fair."""
    for repeat in range(plan.repeats):
        for fold in range(plan.folds):
            for arm in plan.arms:
                yield Cell(arm, repeat, fold)


def run_cells(
    study: SimulatedStudy, out: Path, jobs: int, on_done: Callable[[Cell, int, int], None]
) -> None:
    """Run what has no summary yet, `jobs` at a time, going on where a run was interrupted.

    The error names the first cell that failed; those that were done stay done.
    """
    cells = list(cells_of(study.plan))
    waiting = [cell for cell in cells if not is_done(cell, out)]
    done = len(cells) - len(waiting)
    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(_run, cell, study, out, jobs): cell for cell in waiting}
        try:
            for future in as_completed(futures):
                future.result()
                done += 1
                on_done(futures[future], done, len(cells))
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            if not isinstance(error, Exception):
                # A terminal interrupts the whole group of processes, a notebook's kernel only its
                # own; a run that is interrupted keeps its rounds.
                for process in tuple(_running):
                    process.send_signal(signal.SIGINT)
            raise


def is_done(cell: Cell, out: Path) -> bool:
    """Whether the run has ended well."""
    return (cell.folder(out) / "summary.json").exists()


def summary_of(cell: Cell, out: Path) -> dict[str, Any]:
    """The run's summary.json."""
    return read_summary(cell.folder(out) / "summary.json")


def names_of(arm: Arm, sites: Iterable[str]) -> list[str]:
    """The sites of these that take part in an arm."""
    return [name for name in sites if not arm.sites or name in arm.sites]


def threads_of(jobs: int) -> int:
    """CPU threads of each of so many runs side by side."""
    return max(1, (os.cpu_count() or 1) // jobs)


def _run(cell: Cell, study: SimulatedStudy, out: Path, jobs: int) -> None:
    plan, sites = study.plan, study.sites
    folder, names = cell.folder(out), names_of(cell.arm, sites)
    if (folder / "config.json").exists():
        words = ["--out", str(folder), "--resume"]
    else:
        own = {"threads": threads_of(jobs), **cell.settings(plan.folds, study.settings)}
        if "min-sites" in own:  # of the whole federation; an arm may have fewer
            own["min-sites"] = min(int(own["min-sites"]), 1 if cell.arm.pooled else len(names))
        words = [str(sites[name]) for name in names] + ["--out", str(folder)]
        words += [
            w for key, value in own.items() for w in ("--set", f"{key}={value_in_words(value)}")
        ]
        words += ["--pool"] if cell.arm.pooled else []
        words += ["--quick"] if plan.quick else []
    simulate_in_own_process(cell, words)


def simulate_in_own_process(cell: Cell, words: Sequence[str]) -> None:
    """Run `fedthaw simulate` in a process of its own: its memory goes with it.

    Raises UserError where that ended with the user's mistake, RunError for other failures.
    """
    with subprocess.Popen(
        [*FEDTHAW, "simulate", *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        _running.add(process)
        try:
            _, errors = process.communicate()
        finally:
            _running.discard(process)
    if process.returncode:
        said = errors.strip().splitlines()
        why = said[-1].removeprefix("fedthaw: ") if said else f"exit code {process.returncode}"
        kind = UserError if process.returncode == UserError.exit_code else RunError
        raise kind(
            f"{cell.named()} failed: {why} What was done before is kept: fix this and start the "
            "study again."
        )


_running: set[subprocess.Popen[str]] = set()
"""The processes of this one's cells."""
