"""`import fedthaw`: light, typed, and the same results as the commands."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import fedthaw
from client import workspace
from shared.metrics.summary import BinaryMetrics
from shared.run.events import Event, SiteBusy

pytestmark = pytest.mark.usefixtures("undrawn")
Here = Callable[..., tuple[int, str, str]]
Settings = dict[str, Any]
HEAVY = ("torch", "flwr", "numpy", "scipy", "pydicom", "rich", "typer")


def digest(run: fedthaw.Run) -> str:
    return hashlib.sha256(run.model_path.read_bytes()).hexdigest()


def words(settings: Settings) -> list[str]:
    return [w for key, value in settings.items() for w in ("--set", f"{key}={value}")]


def test_the_import_is_light_and_knows_its_names() -> None:
    code = (
        "import sys, fedthaw\n"
        f"assert not [m for m in {HEAVY!r} if m in sys.modules]\n"
        "assert set(fedthaw.__all__) <= set(dir(fedthaw))\n"
        "functions = [fedthaw.simulate, fedthaw.evaluate, fedthaw.predict, fedthaw.study]\n"
        "assert all(one.__doc__ for one in [*functions, fedthaw.open_run])\n"
        "assert 'torch' not in sys.modules and 'flwr' not in sys.modules\n"
        "for name in fedthaw.__all__: assert getattr(fedthaw, name).__doc__, name\n"
        "try: fedthaw.simulates\n"
        "except AttributeError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "module 'fedthaw' has no attribute 'simulates'\n"


def test_a_run_has_the_commands_bytes_and_numbers(
    run: fedthaw.Run, sites: list[Path], settings: Settings, here: Here, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    code, _, said = here("simulate", *sites, "--out", out, *words(settings))
    assert code == 0, said
    assert digest(run) == digest(fedthaw.open_run(out))
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert run.validation is not None
    assert run.validation.pooled.to_json() == summary["pooled"]
    own = {name: metrics.to_json() for name, metrics in run.validation.sites.items()}
    assert own == summary["site"]
    lines = (out / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    for one, line in zip(run.rounds, map(json.loads, lines), strict=True):
        assert (one.number, one.loss) == (line["round"], line["loss"])
        assert one.validation.pooled.to_json() == line["validation"]
        assert list(one.trainable) == line["plan"]["trainable"]
        assert one.bytes_up == line["bytes_up"]
    assert run.finished
    assert run.test is None
    assert run.config == replace(fedthaw.open_run(out).config, out=run.config.out)


def state() -> dict[str, object]:
    """What of the process a notebook's other cells would notice."""
    names = (None, "flwr", "fedthaw", "matplotlib", "pydicom")
    umask = os.umask(0)
    os.umask(umask)
    return {
        "threads": torch.get_num_threads(),
        "seed": torch.get_rng_state().tolist(),
        "numpy": str(np.random.get_state()),
        "cudnn": (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
        "dtype": torch.get_default_dtype(),
        "grad": torch.is_grad_enabled(),
        "precision": torch.get_float32_matmul_precision(),
        "loggers": [
            (log.level, log.propagate, list(log.handlers)) for log in map(logging.getLogger, names)
        ],
        "environment": dict(os.environ),
        "signals": [signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)],
        "streams": (sys.stdout, sys.stderr, sys.excepthook, threading.excepthook),
        "warnings": list(warnings.filters),
        "folder": Path.cwd(),
        "umask": umask,
    }


def test_the_process_is_left_as_it_was_and_does_not_change_the_result(
    run: fedthaw.Run,
    sites: list[Path],
    settings: Settings,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    torch.set_num_threads(2)
    torch.set_default_dtype(torch.float64)
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.no_grad(), np.errstate(all="raise"):
            torch.rand(3)
            before = state()
            again = fedthaw.simulate(
                sites, out=tmp_path / "again", progress=False, **_words(settings)
            )
            fedthaw.evaluate(again, sites[0], progress=False)
            fedthaw.predict(again, sites[0] / "images", progress=False)
            again.report(tmp_path / "page.html")
            after = state()
    finally:
        torch.set_num_threads(1)
        torch.set_default_dtype(torch.float32)
        torch.set_float32_matmul_precision("highest")
    assert [name for name in before if before[name] != after[name]] == []
    assert digest(again) == digest(run)
    assert capsys.readouterr().out == ""
    assert not workspace._kept


def _words(settings: Settings) -> Settings:
    return {key.replace("-", "_"): value for key, value in settings.items()}


def test_it_runs_beside_an_event_loop_and_in_other_threads(
    run: fedthaw.Run, sites: list[Path], settings: Settings, tmp_path: Path
) -> None:
    async def notebook() -> list[fedthaw.Run]:
        first = fedthaw.open_run(run.folder)
        first.report(tmp_path / "page.html")
        both = [
            asyncio.to_thread(
                fedthaw.simulate, sites, out=tmp_path / name, settings=settings, progress=False
            )
            for name in ("a", "b")
        ]
        return [first, *await asyncio.gather(*both)]

    assert {digest(one) for one in asyncio.run(notebook())} == {digest(run)}


@pytest.mark.parametrize("kind", [KeyboardInterrupt, ZeroDivisionError])
def test_an_interrupted_run_goes_on_to_the_same_bytes(
    run: fedthaw.Run, sites: list[Path], settings: Settings, tmp_path: Path,
    kind: type[BaseException],
) -> None:  # fmt: skip
    out, seen = tmp_path / "cut", []

    def stop(event: Event) -> None:
        """In the midst of a site's training, where a site's own errors are caught."""
        seen.append(event)
        busy = [one for one in seen if isinstance(one, SiteBusy) and one.task == "training"]
        if event in busy[-1:] and len(busy) == 4:
            raise kind

    with pytest.raises(kind) as caught:
        fedthaw.simulate(sites, out=out, settings=settings, progress=stop)
    trained = [one for one in seen if isinstance(one, SiteBusy) and one.task == "training"]
    assert len(trained) == 4  # nothing went on after it
    if kind is KeyboardInterrupt:
        assert "resume=True" in "".join(caught.value.__notes__)
    unfinished = fedthaw.open_run(out)
    assert not unfinished.finished
    assert unfinished.validation is None
    assert 0 < len(unfinished.rounds) < len(run.rounds)
    with pytest.raises(fedthaw.ConfigError, match="no final model yet"):
        _ = unfinished.model_path
    ended = fedthaw.simulate(sites, out=out, settings=settings, resume=True, progress=False)
    assert digest(ended) == digest(run)
    assert fedthaw.simulate(out=out, resume=True, progress=False) == ended


def test_resume_begins_what_is_not_there(
    run: fedthaw.Run, sites: list[Path], settings: Settings, tmp_path: Path
) -> None:
    """Texts are paths, and NumPy's numbers numbers."""
    more = _words(settings) | {"rounds": np.int64(2), "dropout": np.float64(0.1)}
    new = fedthaw.simulate(
        map(str, sites), out=str(tmp_path / "new"), resume=True, progress=False, **more
    )
    assert digest(new) == digest(run)
    with pytest.raises(fedthaw.ConfigError, match="not a run's folder"):
        fedthaw.simulate(out=tmp_path / "typo", resume=True)


def test_evaluation_and_prediction_are_the_commands(
    run: fedthaw.Run, sites: list[Path], here: Here
) -> None:
    north, east = fedthaw.evaluate(run, sites, progress=False)
    code, out, _ = here("evaluate", run.folder, sites[0], "--json")
    assert code == 0
    (cohort,) = json.loads(out)["cohorts"]
    assert (north.site, north.folder, north.metrics.to_json()) == (
        "north", sites[0], cohort["metrics_at_0.5"],
    )  # fmt: skip
    assert east.site == "east"
    predicted = fedthaw.predict(run.folder, sites[0] / "images", progress=False)
    code, out, _ = here("predict", run.folder, sites[0] / "images", "--json")
    document = json.loads(out)
    assert [image.probability for image in predicted.images] == [
        image["probability"] for image in document["images"]
    ]
    assert [patient.positive for patient in predicted.patients] == [
        patient["positive"] for patient in document["patients"]
    ]


def test_what_changed_in_a_folder_is_read_again(
    run: fedthaw.Run, write_site: Callable[..., Path], tmp_path: Path
) -> None:
    """A command's process ends; a notebook's goes on, and its sites' folders change meanwhile."""
    site = write_site(tmp_path, "south")
    (before,) = fedthaw.evaluate(run, site, progress=False)
    labels = site / "labels.csv"
    rows = labels.read_text(encoding="utf-8").splitlines()
    labels.write_text("\n".join(row for row in rows if not row.startswith("P1,")), encoding="utf-8")
    (after,) = fedthaw.evaluate(run, site, progress=False)
    of_finding = [one.metrics for one in (before, after) if isinstance(one.metrics, BinaryMetrics)]
    first, second = (one.positives or 0 for one in of_finding)
    assert first == second + 1


def test_mistakes_are_the_commands_sentences(
    run: fedthaw.Run, sites: list[Path], settings: Settings, tmp_path: Path
) -> None:
    def said(call: Callable[..., object], *positional: object, **more: object) -> str:
        with pytest.raises(fedthaw.UserError) as caught:
            call(*positional, **more)
        return str(caught.value)

    out = tmp_path / "none"
    assert said(fedthaw.simulate, sites, out=out, rouds=3) == (
        "Unknown setting 'rouds'; did you mean 'rounds'?"
    )
    twice = said(fedthaw.simulate, sites, out=out, settings={"image-size": 32}, image_size=64)
    assert twice == "The setting image-size is given twice; leave one of them out."
    assert "already holds a run" in said(fedthaw.simulate, sites, out=run.folder, settings=settings)
    assert "There is no site folder" in said(fedthaw.evaluate, run, [sites[0], tmp_path / "gone"])
    assert "name one site folder" in said(fedthaw.evaluate, run, [])
    assert "no operating point" in said(
        fedthaw.predict, run, sites[0] / "images", operating_point="mine"
    )
    assert "must be one of auto, cpu" in said(fedthaw.predict, run, sites[0], device="gpu")
    assert "must be one of in-process, ray" in said(fedthaw.simulate, sites, engine="fast")
    assert "progress is None; it must be True" in said(
        fedthaw.simulate, sites, out=out, settings=settings, progress=None
    )
    assert "is not a run's folder" in said(fedthaw.open_run, tmp_path)
    assert "is set by the study itself" in said(fedthaw.study, sites, out=out, seed=3)
    assert "must lie in 2 to 100" in said(fedthaw.study, sites, out=out, folds=1)
    assert "arms is empty" in said(fedthaw.study, sites, out=out, arms={})
    assert not out.exists()


def test_a_data_frame_where_pandas_is(run: fedthaw.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Frame:
        def __init__(self, rows: list[dict[str, object]]) -> None:
            self.rows = rows

        def set_index(self, name: str) -> tuple[str, list[dict[str, object]]]:
            return name, self.rows

    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(fedthaw.ConfigError, match="pip install pandas"):
        run.to_dataframe()
    pandas = type(sys)("pandas")
    pandas.DataFrame = Frame  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    index, rows = run.to_dataframe()
    assert index == "round"
    assert [row["auroc"] for row in rows] == [one.validation.pooled.auroc for one in run.rounds]


def test_warnings_are_seen_without_progress(
    sites: list[Path], settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    probe = settings | {"rounds": 0, "strategy": "fedprox"}
    fedthaw.simulate(sites, out=tmp_path / "p", settings=probe, progress=False)
    assert capsys.readouterr().err.splitlines() == [
        "strategy=fedprox with proximal-mu=0 is plain averaging; 0.01 is usual."
    ]
