"""The page's thresholds and temperature are those of calibration.json."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from server.disclosure.run_files import shown_calibration
from server.report.page import run_page
from server.report.read import read_report
from server.results.shown import Shown
from server.run.calibration import FILE, calibrate, write_calibration
from shared.errors import RunError
from shared.metrics.histogram import Histogram

MakeRun = Callable[..., Path]


@pytest.fixture
def validation(site_counts: Mapping[str, Histogram]) -> Histogram:
    """The validation patients of all sites."""
    return sum(site_counts.values(), start=Histogram.empty())


@pytest.fixture
def thresholds_on(read_page: Any, tables: Any, undrawn: None) -> Callable[..., list[str]]:
    """Those of the held-out patients, and the temperature of their reliability curve."""

    def read(run: Path, min_cell: int) -> list[str]:
        found = tables(read_page(run_page(read_report(run, min_cell))))
        points = found["Operating points in the held-out test set, with exact 95 % CIs"]
        groups = found["Groups of the reliability curve, held-out test patients"][1:]
        (temperature,) = {row[0] for row in groups} - {"uncalibrated"}
        assert points[1][:2] == ["probability", "0.500"]
        return [*points[1][2:], temperature]

    return read


def in_words(document: Mapping[str, Any]) -> list[str]:
    """Of a calibration.json what a page shows."""
    known = {point["name"]: point["threshold"] for point in document["operating_points"]}
    shown = [f"{known[name]:.3f}" for name in ("youden", "sensitivity-0.9")]
    return [*shown, f"temperature {document['temperature']:.2f}"]


def test_of_a_run_for_others(
    make_run: MakeRun, validation: Histogram, thresholds_on: Callable[..., list[str]]
) -> None:
    run = make_run(test=True)
    write_calibration(run, Shown(shown_calibration(validation, totals=True)))
    document = json.loads((run / FILE).read_text())
    assert thresholds_on(run, 5) == in_words(document)
    # A run chooses by all scores, and the file for others has the ends of groups of them.
    assert in_words(document) != in_words(calibrate(validation))


def test_of_a_simulation_for_its_owner_and_for_others(
    make_run: MakeRun, validation: Histogram, thresholds_on: Callable[..., list[str]]
) -> None:
    run = make_run(test=True, sites="/data/north", hidden=frozenset())
    write_calibration(run, Shown(calibrate(validation)))
    assert thresholds_on(run, 0) == in_words(calibrate(validation))
    assert thresholds_on(run, 5) == in_words(shown_calibration(validation, totals=True))


def test_a_damaged_file_is_said(make_run: MakeRun) -> None:
    run = make_run(test=True)
    (run / FILE).write_text("{")
    with pytest.raises(RunError, match=r"calibration\.json cannot be read"):
        read_report(run, 5)
