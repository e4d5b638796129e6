"""Every number on the page is that of the run's files, or of an independent computation."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar
from scipy.special import expit
from sklearn.metrics import brier_score_loss, log_loss, roc_curve

from server.report.page import run_page
from server.report.read import read_report
from server.report.sections.scores import score_groups
from shared.metrics.histogram import Histogram, bin_logits, bin_probabilities
from shared.metrics.summary import summarise

Tables = Callable[[Any], dict[str, list[list[str]]]]


@pytest.fixture
def tables_of(
    read_page: Callable[[str], Any], tables: Tables, undrawn: None
) -> Callable[..., dict[str, list[list[str]]]]:
    """A page's tables; its drawings, which take most of the time, have nothing of them."""
    return lambda run, min_cell=5: tables(read_page(run_page(read_report(run, min_cell))))


def test_performance_by_site(
    make_run: Callable[..., Path], summary_of: Callable[[Path], Any], tables_of: Any
) -> None:
    run = make_run()
    summary = summary_of(run)
    rows = {row[0]: row[1:] for row in tables_of(run)["Performance by site, validation patients"]}
    assert list(rows) == ["site", "all sites", "east", "north", "south", "west"]
    for name, values in [("all sites", summary["pooled"]), *summary["site"].items()]:
        if values["auroc"] is None:
            assert set(rows[name]) == {"not shown"}
            continue
        # Of 52 to 163 patients: two or three decimals.
        places = len(str(values["positives"] + values["negatives"]))
        low, high = values["auroc_ci95"]
        shown = [rows[name][0], *rows[name][1].split(" to "), *rows[name][2:7]]
        metrics = ("sensitivity", "specificity", "balanced_accuracy", "f1", "brier")
        exact = [values["auroc"], low, high, *(values[key] for key in metrics)]
        for text, value in zip(shown, exact, strict=True):
            assert len(text.partition(".")[2]) <= places  # a column adds no zeros
            assert float(text) == pytest.approx(value, abs=0.51 * 10.0 ** -min(places, 2))
        assert rows[name][7:] == [str(values["positives"]), str(values["negatives"])]


def test_performance_at_test_patients(
    make_run: Callable[..., Path], site_counts: Mapping[str, Histogram], tables_of: Any
) -> None:
    """They are judged by first, and thresholds chosen at validation are applied to them."""
    run = make_run(test=True)
    found = tables_of(run)
    captions = [caption for caption in found if caption.startswith("Performance by site")]
    assert captions == [
        "Performance by site, held-out test patients",
        "Performance by site, validation patients",
    ]
    east = summarise(site_counts["east"] + site_counts["east"])
    row = next(row for row in found[captions[0]] if row[0] == "east")
    assert (row[1], row[-2:]) == (f"{east.auroc:.3f}", [str(east.positives), str(east.negatives)])
    points = found["Operating points in the held-out test set, with exact 95 % CIs"]
    assert points[0][1:] == [
        "default threshold (0.5)",
        "maximum Youden index",
        "sensitivity of 0.90 or more",
    ]
    own = found["Operating points in the validation set, with exact 95 % CIs"]
    assert own[0][1:] == ["default threshold (0.5)"]
    total = sum(site_counts.values(), start=Histogram.empty())
    shares = {row[0]: row[1] for row in own[1:]}
    assert shares["sensitivity"].startswith(f"{summarise(total).sensitivity:.3f} (")
    assert shares["specificity"].startswith(f"{summarise(total).specificity:.3f} (")


def test_test_patients_are_recalibrated_as_validation_patients_say(
    make_run: Callable[..., Path], site_counts: Mapping[str, Histogram], tables_of: Any
) -> None:
    """The temperature of least log loss by a search; the Brier score is scikit-learn's."""
    run = make_run(test=True, hidden=frozenset())
    total = sum(site_counts.values(), start=Histogram.empty())
    logits = np.concatenate(
        [np.repeat(bin_logits(), n) for n in (total.positives, total.negatives)]
    )
    labels = np.repeat([1, 0], [total.total_positives, total.total_negatives])
    best = minimize_scalar(
        lambda t: log_loss(labels, expit(logits / t)), bounds=(0.05, 20), method="bounded"
    ).x
    page = run_page(read_report(run, 1))
    # The test patients are the validation patients twice.
    before, after = (brier_score_loss(labels, expit(logits / t)) for t in (1.0, best))
    assert f"with it the Brier score here is {after:.3f}, without it {before:.3f}." in page
    found = tables_of(run, min_cell=1)
    kinds = {row[0] for row in found["Groups of the reliability curve, held-out test patients"][1:]}
    assert kinds == {"uncalibrated", f"temperature {best:.2f}"}
    kinds = {row[0] for row in found["Groups of the reliability curve, validation patients"][1:]}
    assert kinds == {"uncalibrated"}


def test_calibration_in_the_large_is_that_of_the_mean(
    make_run: Callable[..., Path], site_counts: Mapping[str, Histogram]
) -> None:
    """The shift that makes the mean probability the share of positives; not Cox's intercept."""
    total = sum(site_counts.values(), start=Histogram.empty())
    patients = total.positives + total.negatives
    shift = brentq(
        lambda a: np.dot(patients, expit(bin_logits() + a)) - total.total_positives, -20, 20
    )
    page = run_page(read_report(make_run(hidden=frozenset()), 1))
    assert f"Calibration-in-the-large {shift:+.2f} (0 is ideal" in page
    assert re.search(r"slope \d\.\d\d \(1 is ideal", page)
    assert "intercept" not in page


@pytest.mark.parametrize(("sampling", "said"), [("balanced", True), ("shuffle", False)])
def test_balanced_sampling_is_said_to_raise_probabilities(
    make_run: Callable[..., Path], sampling: str, *, said: bool
) -> None:
    page = run_page(read_report(make_run(sampling=sampling), 5))
    assert ("the probability is too high where the finding is rare" in page) is said


def test_rounds(make_run: Callable[..., Path], tables_of: Any) -> None:
    run = make_run()
    lines = [json.loads(line) for line in (run / "ledger.jsonl").read_text("utf-8").splitlines()]
    rows = tables_of(run)["Rounds"][1:]
    assert [row[0] for row in rows] == ["1", "2", "3", "4"]
    for row, line in zip(rows, lines, strict=True):
        assert row[1].split(" and ")[-1].split(", ")[-1] == line["plan"]["trainable"][0]
        assert row[2:] == [
            str(round(line["loss"], 3)), str(round(line["validation"]["auroc"], 3)),
            str(len(line["sites"])),
            f"{(line['bytes_down'] + line['bytes_up']) / 1e6:.1f} MB", "9.0 MB", "3.2 s", "2.5 s",
        ]  # fmt: skip


def test_contributions(make_run: Callable[..., Path], tables_of: Any) -> None:
    """Numbers of images and patients are in steps of five."""
    rows = tables_of(make_run())["What each site contributed"][1:]
    shown = {row[0]: row[1:5] for row in rows}
    assert shown["east"] == ["4 of 4", "7,010", "6,015", "not shown"]
    assert {row[0]: set(row[2:8]) for row in rows}["south"] == {"not shown"}


def test_weights_where_no_site_is_hidden(make_run: Callable[..., Path], tables_of: Any) -> None:
    rows = tables_of(make_run(hidden=frozenset()), min_cell=1)["What each site contributed"][1:]
    total = sum(7011 + 100 * index for index in range(4))
    assert {row[0]: row[4] for row in rows}["east"] == f"{7011 / total:.0%}".replace("%", "\u00a0%")


def test_weights_are_those_of_the_average(make_run: Callable[..., Path], tables_of: Any) -> None:
    """Four sites at most a hundredth each count the same."""
    run = make_run(hidden=frozenset(), max_weight_share=0.01)
    rows = tables_of(run, min_cell=1)["What each site contributed"][1:]
    assert {row[4] for row in rows} == {"25\u00a0%"}


def test_the_head_tells_the_outcome(
    make_run: Callable[..., Path],
    summary_of: Callable[[Path], Any],
    read_page: Callable[[str], Any],
) -> None:
    run = make_run()
    pooled, size = summary_of(run)["pooled"], summary_of(run)["bytes"]
    header = read_page(run_page(read_report(run, 5))).all("header")[0]
    low, high = pooled["auroc_ci95"]
    assert (
        "Four sites trained one model in four rounds; in 163 validation patients it "
        f"detected the finding with an AUROC of {pooled['auroc']:.2f} (95 % CI {low:.2f} to "
        f"{high:.2f})."
    ) in header.text
    tiles = dict(zip((n.text for n in header.all("dt")), (
        n.text for n in header.all("dd") if n.attributes.get("class") == "value"
    ), strict=True))  # fmt: skip
    assert tiles == {
        "AUROC": f"{pooled['auroc']:.3f}", "Patients evaluated": "163", "Sites": "4",
        "Rounds": "4", "Data transferred": f"{(size['down'] + size['up']) / 1e6:.1f} MB",
        "Time": "14 s",
    }  # fmt: skip


def test_the_roc_table_is_scikit_learns(
    make_run: Callable[..., Path], site_counts: Mapping[str, Histogram], tables_of: Any
) -> None:
    run = make_run(hidden=frozenset())
    rows = tables_of(run, min_cell=1)["Points of the ROC curve, validation patients"][1:]
    total = sum(site_counts.values(), start=Histogram.empty())
    labels = np.repeat([1, 0], [total.total_positives, total.total_negatives])
    bins = np.arange(514)
    scores = np.concatenate([np.repeat(bins, total.positives), np.repeat(bins, total.negatives)])
    false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert [row[1:3] for row in rows if row[0] == "all sites"] == [
        [f"{x:.3f}", f"{y:.3f}"] for x, y in zip(false, true, strict=True)
    ]
    drawn = [row for row in rows if row[0] == "site east"]
    assert drawn
    assert all(row[3] == "" for row in drawn), "no threshold of a single site"


def test_score_groups_are_those_of_a_slow_loop(site_counts: Mapping[str, Histogram]) -> None:
    counts = site_counts["east"].positives
    probabilities = bin_probabilities()
    groups = score_groups(counts, 5)
    assert sum(group.patients for group in groups) == counts.sum()
    assert min(group.patients for group in groups) >= 5
    assert (groups[0].low, groups[-1].high) == (0, 1)
    for group in groups:
        held = sum(
            int(count)
            for count, probability in zip(counts, probabilities, strict=True)
            if group.low <= probability < group.high
        )
        assert group.patients == held
        assert group.share == pytest.approx(held / counts.sum())
    areas = [group.density * (group.high - group.low) / 0.05 for group in groups]
    assert sum(areas) == pytest.approx(1)
    assert score_groups(counts, int(counts.sum()) + 1) == []


def test_an_unfinished_run_says_so(make_run: Callable[..., Path]) -> None:
    page = run_page(read_report(make_run(finished=False, scores=False, rounds=2), 5))
    assert "This run is not finished: 2 of 4 rounds are done." in page
    assert "no curves of its final model yet" in page
    assert "before the last of them it detected" in page


def test_a_run_without_rounds(make_run: Callable[..., Path]) -> None:
    page = run_page(read_report(make_run(finished=False, scores=False, rounds=0), 5))
    assert "The run has begun; no round is finished yet." in page
    assert "<svg" not in page


def test_an_older_run_has_no_curves(make_run: Callable[..., Path]) -> None:
    page = run_page(read_report(make_run(scores=False), 5))
    assert "it has no evaluation.json" in page
    assert "ROC curve of" not in page
    assert re.search(r'id="thawing-title"', page)


def test_refused_replies_have_their_reason(make_run: Callable[..., Path], tables_of: Any) -> None:
    found = tables_of(make_run(reason="its frozen stages differ from the base"))
    refused = found[
        "Replies that were refused, and sites that did not answer or could not take part"
    ][1:]
    assert refused == [["south-2", "1, 3", "its frozen stages differ from the base"]]
    assert found["Sites that are not in the final evaluation"][1:] == [
        ["absent", "its frozen stages differ from the base"]
    ]
    presence = {row[0]: row[1:] for row in found["Sites by round"]}
    assert presence["east"] == ["1 to 4", "none", "none"]
    assert presence["south-2"] == ["none", "1, 3", "none"]
    assert presence["late"] == ["none", "none", "1"]
