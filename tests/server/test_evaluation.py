"""Pooled and per-site metrics from the sites' counts."""

from __future__ import annotations

import json
from collections.abc import Collection

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from server.evaluation import Evaluation, evaluation_of, pooled_metrics
from sklearn.metrics import roc_auc_score

from server.run.ledger import RoundRecord, SiteRound
from shared.metrics.histogram import Histogram, bin_edges
from shared.metrics.summary import summarise


def cohort(seed: int, count: int) -> tuple[list[float], list[int]]:
    """Logits in the middle of bins, so that binning loses nothing."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, count)
    bins = np.clip(np.round((generator.normal(labels, 2) + 8) * 32).astype(int), 0, 511)
    return (bin_edges()[bins] + 1 / 64).tolist(), labels.tolist()


def small(positives: int, negatives: int) -> Histogram:
    """A cohort of so many patients, all in different bins."""
    labels = [1] * positives + [0] * negatives
    return Histogram.from_bins(list(range(len(labels))), labels)


def record(number: int, told: Evaluation) -> RoundRecord:
    """The round that showed this."""
    sites = {
        name: SiteRound(10, 10, 1, 0.5, 1.0, 1.0, 0, 0, metrics)
        for name, metrics in told.sites.items()
    }
    return RoundRecord(number, {}, sites, {}, 1, 0.5, told.pooled, 1, 1, 1, 1.0, 1.0)


def test_pooled_is_of_all_patients_together_not_a_mean_of_sites() -> None:
    cohorts = [cohort(1, 60), cohort(2, 11), cohort(3, 25)]
    logits = [value for scores, _ in cohorts for value in scores]
    labels = [value for _, classes in cohorts for value in classes]
    histograms = {str(n): Histogram.from_logits(*part) for n, part in enumerate(cohorts)}
    pooled = evaluation_of(histograms, ()).pooled
    assert pooled["auroc"] == pytest.approx(roc_auc_score(labels, logits), abs=1e-12)
    assert (pooled["positives"], pooled["negatives"]) == (sum(labels), len(labels) - sum(labels))
    assert json.loads(json.dumps(pooled)) == pooled
    assert pooled == pooled_metrics(histograms.values()).to_json()


def test_nobody_at_all() -> None:
    assert evaluation_of({}, ()).pooled["auroc"] is None


SITES = {name: Histogram.from_logits(*cohort(i, 40 + i)) for i, name in enumerate("abcd")}


def hidden(own: set[str]) -> frozenset[str]:
    told = evaluation_of(SITES, own)
    assert told.counts.pooled == sum(SITES.values(), start=Histogram.empty())
    for name, metrics in told.sites.items():
        shown = name not in told.hidden
        assert metrics == (summarise(SITES[name]).to_json() if shown else dict.fromkeys(metrics))
        assert told.counts.sites[name] == (SITES[name] if shown else None)
    return told.hidden


def test_sites_that_suppress_nothing_are_all_shown() -> None:
    assert hidden(set()) == set()


def test_several_suppressed_sites_hide_each_other() -> None:
    assert hidden({"c", "d"}) == {"c", "d"}


def test_one_suppressed_site_takes_the_smallest_other_along() -> None:
    # Else the pooled counts minus those shown would be its own.
    assert hidden({"d"}) == {"a", "d"}
    assert hidden({"a"}) == {"a", "b"}


def test_suppressed_sites_that_are_small_together_take_another_along() -> None:
    told = evaluation_of({"a": small(0, 9), "b": small(1, 9), "c": small(9, 9)}, {"a", "b"})
    assert told.hidden == {"a", "b", "c"}
    assert (told.pooled["positives"], told.pooled["negatives"]) == (10, 27)


def test_totals_that_would_tell_a_small_count_are_null_and_so_is_what_holds_them() -> None:
    histograms = {"a": small(1, 9), "b": small(2, 9)}
    told = evaluation_of(histograms, {"a", "b"})
    whole = summarise(histograms["a"] + histograms["b"]).to_json()
    without = {"positives", "sensitivity", "specificity", "auroc_ci95"}
    assert told.pooled == {k: None if k in without else v for k, v in whole.items()}
    assert told.pooled["auroc"] is not None
    assert told.counts.pooled is None


def test_a_single_suppressed_site_shows_no_count_under_another_name() -> None:
    told = evaluation_of({"a": SITES["a"]}, {"a"})
    assert set(told.sites["a"].values()) == {None}
    assert (told.pooled["positives"], told.pooled["negatives"]) == (None, None)


def test_a_small_site_that_joins_late_is_no_difference_of_two_rounds() -> None:
    first = evaluation_of({name: SITES[name] for name in "abc"}, ())
    assert first.hidden == set()
    second = evaluation_of(SITES, {"d"}, [record(1, first)])
    assert second.hidden == {"d"}
    assert (second.pooled["positives"], second.pooled["negatives"]) == (None, None)
    assert second.counts.pooled is None


def test_what_was_hidden_for_a_small_site_stays_hidden_when_that_is_away() -> None:
    first = evaluation_of(SITES, {"d"})
    away = evaluation_of({name: SITES[name] for name in "abc"}, (), [record(1, first)])
    assert "a" in away.hidden
    assert away.pooled["positives"] is None
    again = evaluation_of(SITES, {"d"}, [record(1, first), record(2, away)])
    assert again == first


PRESENT = st.lists(st.sets(st.sampled_from("abcde"), min_size=1), min_size=1, max_size=6)
COUNTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=5, max_size=5)


@given(PRESENT, COUNTS)
def test_no_combination_of_rounds_gives_a_small_site_away(
    present: list[Collection[str]], counts: list[tuple[int, int]]
) -> None:
    """All that is shown as linear equations of the sites' counts: no small one is determined."""
    histograms = {name: small(*both) for name, both in zip("abcde", counts, strict=True)}
    own = {name for name, h in histograms.items() if min(h.total_positives, h.total_negatives) < 5}
    records: list[RoundRecord] = []
    for number, names in enumerate(present, start=1):
        here = {name: histograms[name] for name in sorted(names)}
        records.append(record(number, evaluation_of(here, own & set(here), records)))
    for key in ("positives", "negatives"):
        rows = [np.zeros(5)]
        for one in records:
            parts = [np.array(["abcde".index(n) == k for k in range(5)]) for n in one.sites]
            if one.validation[key] is not None:
                rows.append(np.sum(parts, axis=0))
            metrics = [site.metrics for site in one.sites.values()]
            rows += [row for row, m in zip(parts, metrics, strict=True) if m[key] is not None]
        rank = np.linalg.matrix_rank(np.array(rows, dtype=float))
        for name in own:
            unit = np.eye(5)["abcde".index(name)]
            assert np.linalg.matrix_rank(np.array([*rows, unit], dtype=float)) == rank + 1
