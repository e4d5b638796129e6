"""What the page must not tell is not in its bytes, nor can it be computed from it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from server.disclosure.page import may_show
from server.report.data import TrainingData
from server.report.page import run_page
from server.report.read import read_report
from shared.metrics.histogram import Histogram
from shared.metrics.summary import BinaryMetrics, summarise

SITES = st.dictionaries(
    st.sampled_from("abcdef"), st.tuples(st.integers(0, 40), st.integers(0, 40), st.booleans()),
    min_size=1,
)  # fmt: skip


@given(SITES, st.integers(1, 12))
def test_no_small_count_can_be_computed(
    sites: dict[str, tuple[int, int, bool]], min_cell: int
) -> None:
    """Against a reader who adds up what is shown and subtracts it from the totals shown."""
    metrics = {
        name: BinaryMetrics() if null else BinaryMetrics(positives=p, negatives=n)
        for name, (p, n, null) in sites.items()
    }
    totals = [sum(both[k] for both in sites.values()) for k in (0, 1)]
    decision = may_show(metrics, BinaryMetrics(positives=totals[0], negatives=totals[1]), min_cell)
    assert decision.hidden >= {name for name, (_, _, null) in sites.items() if null}
    shown = set(sites) - decision.hidden
    assert all(min(sites[name][:2]) >= min_cell for name in shown)
    for k in (0, 1):
        left = totals[k] - sum(sites[name][k] for name in shown)
        if decision.shows_totals and decision.hidden:
            assert len(decision.hidden) >= 2
            assert left > min_cell


def test_without_totals_they_are_not_told() -> None:
    sites = {"a": BinaryMetrics(positives=9, negatives=9), "b": BinaryMetrics()}
    decision = may_show(sites, BinaryMetrics(), 5)
    assert decision.hidden == {"b"}
    assert not decision.shows_totals


def numbers_on(page: str) -> set[str]:
    """Whole numbers, those in attributes too; not the ends of coordinates, nor parts of digests."""
    return set(re.findall(r"(?<![0-9a-f.])[0-9][0-9,.]*(?![0-9a-f])", page))


def test_hidden_values_are_not_on_the_page(make_run: Callable[..., Path]) -> None:
    page = run_page(read_report(make_run(), 5))
    found = numbers_on(page)
    # Images, patients and losses of south and west, as the ledger has them.
    assert not {"7,211", "7211", "6,213", "6213", "7,311", "7311", "6,313", "6313"} & found
    assert not {"0.502", "0.5020", "0.503", "0.5030"} & found
    assert {"7,010", "6,015"} <= found


def test_a_higher_limit_hides_more(make_run: Callable[..., Path]) -> None:
    """North has 23 positives; with 25 as the limit it goes."""
    run = make_run()
    assert '<td class="number">23</td>' in run_page(read_report(run, 5))
    page = run_page(read_report(run, 25))
    assert '<td class="number">23</td>' not in page
    assert '<td class="number">31</td>' in page


def test_a_single_site_that_hides_its_values_is_not_told_as_the_total(
    make_run: Callable[..., Path],
) -> None:
    counts = Histogram.from_logits(np.array([2.0, 1.0, -1.0, -2.0, 0.7]), [1, 0, 1, 0, 0])
    run = make_run({"south": counts}, frozenset({"south"}))
    page = run_page(read_report(run, 5))
    report = read_report(run, 5)
    assert report.cohorts[0].pooled is None
    assert report.cohorts[0].counts is None
    assert [(r.auroc, r.loss) for r in report.rounds] == [(None, None)] * 4
    own = summarise(counts)
    assert own.auroc is not None
    assert not {f"{own.auroc:.3f}", f"{own.brier:.3f}", "0.7000"} & numbers_on(page)
    assert "would reveal too few patients" in page


def test_a_page_tells_its_rule(make_run: Callable[..., Path]) -> None:
    assert "no count of a single site below 7 is on it" in run_page(read_report(make_run(), 7))


def test_the_training_total_is_told_where_no_site_is_hidden(make_run: Callable[..., Path]) -> None:
    """Images are 7,011 to 7,311 and patients 6,013 to 6,313 in steps of 100, each in fives."""
    report = read_report(make_run(hidden=frozenset()), 3)
    assert report.trained_on == TrainingData(images=28_640, patients=24_660)
    assert "28,640 images of 24,660 patients: east: 7,010 images" in run_page(report)


def test_but_not_where_it_is_one_sites(
    make_run: Callable[..., Path], site_counts: Mapping[str, Histogram]
) -> None:
    report = read_report(make_run({"south": site_counts["south"]}, frozenset({"south"})), 5)
    assert report.trained_on is None
    assert not {"7,011", "6,013"} & numbers_on(run_page(report))
