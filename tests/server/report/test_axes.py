"""No axis cuts what is drawn in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from server.report.page import run_page
from server.report.read import read_report

MakeRun = Callable[..., Path]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that a page draws."""
    drawn: list[Figure] = []
    init = Figure.__init__

    def remembered(self: Figure, *arguments: object, **named: object) -> None:
        init(self, *arguments, **named)  # type: ignore[arg-type]  # whatever it is called with
        drawn.append(self)

    monkeypatch.setattr(Figure, "__init__", remembered)
    return drawn


def markers(axes: Axes) -> Iterator[tuple[float, float, float]]:
    """Place of each marker that the frame would cut, in pixels, and half its size."""
    for line in axes.lines:
        if line.get_marker() in ("None", "", None, ",") or not line.get_clip_on():
            continue
        half = line.get_markersize() / 2 * axes.figure.dpi / 72
        for x, y in line.get_transform().transform(np.column_stack(line.get_data())):
            yield x, y, half


@pytest.mark.parametrize(
    ("losses", "aurocs"),
    [
        ((0.69, 0.73, 0.72, 0.70), (0.43, 0.41, 0.62, 0.6)),
        ((2.5, 0.4, 0.2, 0.01), (0.9, 1.0, 1.0, 0.99)),
        ((0.7,) * 4, (0.0,) * 4),
    ],
)
def test_no_marker_is_cut(
    losses: tuple[float, ...],
    aurocs: tuple[float, ...],
    make_run: MakeRun,
    figures: list[Figure],
) -> None:
    report = read_report(make_run(test=True, hidden=frozenset()), 1)
    rounds = [
        dataclasses.replace(one, loss=loss, auroc=auroc)
        for one, loss, auroc in zip(report.rounds, losses, aurocs, strict=True)
    ]
    run_page(dataclasses.replace(report, rounds=tuple(rounds)))
    assert len(figures) > 6
    for figure in figures:
        for axes in figure.axes:
            frame = axes.bbox
            for x, y, half in markers(axes):
                assert frame.x0 <= x - half, axes.get_ylabel()
                assert x + half <= frame.x1, axes.get_ylabel()
                assert frame.y0 <= y - half, axes.get_ylabel()
                assert y + half <= frame.y1, axes.get_ylabel()
