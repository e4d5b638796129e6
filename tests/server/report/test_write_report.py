"""`fedthaw report`, and the page that a run leaves by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from server.report.at_end import write_report_at_end
from shared.run.events import Event, Warned, listening

Here = Callable[..., tuple[int, str, str]]


def test_the_page_lies_in_the_runs_folder(make_run: Callable[..., Path], here: Here) -> None:
    run = make_run()
    assert here("report", run) == (0, f"Report: {run}/report.html\n", "")
    assert (run / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_or_where_it_is_wanted(make_run: Callable[..., Path], here: Here, tmp_path: Path) -> None:
    run, out = make_run(), tmp_path / "first.html"
    assert here("report", run, "--out", out, "--min-cell", "9")[0] == 0
    assert "no count of a single site below 9" in out.read_text(encoding="utf-8")
    assert not (run / "report.html").exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("nowhere",), 2, "nowhere is not a run's folder"),
        (("run", "--min-cell", "0"), 2, "--min-cell"),
        (("run", "--out", "missing/first.html"), 1, "missing/first.html (No such file"),
    ],
)
def test_a_mistake_is_told(
    words: tuple[str, ...],
    code: int,
    message: str,
    make_run: Callable[..., Path],
    here: Here,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(make_run().parent)
    found = here("report", *words)
    assert found[:2] == (code, "")
    assert message in found[2]


@pytest.mark.parametrize("file", ["summary.json", "evaluation.json"])
@pytest.mark.parametrize("text", ["{", "[]", '{"pooled": 3}'])
def test_a_damaged_file_is_named(
    file: str, text: str, make_run: Callable[..., Path], here: Here
) -> None:
    run = make_run()
    (run / file).write_text(text, encoding="utf-8")
    code, _, stderr = here("report", run)
    assert code == 1
    assert f"{run / file} cannot be read" in stderr


def test_a_failure_costs_the_run_nothing(
    make_run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("no reason")

    run, heard = make_run(), list[Event]()
    monkeypatch.setattr("server.report.write.run_page", fail)
    with listening(heard.append):
        write_report_at_end(run)
    assert heard == [
        Warned(
            "The run is complete, but its report could not be written (no reason); `fedthaw "
            f"report {run}` tries again."
        )
    ]
    assert not (run / "report.html").exists()
