"""Pooled and per-site metrics from the sites' counts, for the owner and for others."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from server.disclosure.cohorts import ShownCohort
from server.disclosure.register import FILE, Register
from server.disclosure.rounding import rounded
from server.disclosure.run import Disclosure
from server.results.shown import Audience
from shared.metrics.histogram import Histogram, bin_edges
from shared.metrics.summary import summarise
from shared.run.events import Event, Warned, listening


def scored(seed: int, count: int) -> tuple[list[float], list[int]]:
    """Logits in the middle of bins, so that binning loses nothing."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, count)
    bins = np.clip(np.round((generator.normal(labels, 2) + 8) * 32).astype(int), 0, 511)
    return (bin_edges()[bins] + 1 / 64).tolist(), labels.tolist()


def small(positives: int, negatives: int) -> Histogram:
    """A cohort of so many patients, all in different bins."""
    labels = [1] * positives + [0] * negatives
    return Histogram.from_bins(list(range(len(labels))), labels)


def shown(
    histograms: Mapping[str, Histogram],
    own: Collection[str] = (),
    rules: Disclosure | None = None,
    data: Mapping[str, str] | None = None,
) -> ShownCohort:
    """What others see of validation patients; the sites' data are "data" where nothing is said."""
    data = dict.fromkeys(histograms, "data") | dict(data or {})
    data = {name: data[name] for name in histograms}
    return (rules or Disclosure()).cohort("validation", histograms, own, data)


def test_the_owner_of_all_sites_sees_exactly_what_there_is() -> None:
    cohorts = [scored(1, 60), scored(2, 11), scored(3, 3)]
    logits = [value for scores, _ in cohorts for value in scores]
    labels = [value for _, classes in cohorts for value in classes]
    histograms = {str(n): Histogram.from_logits(*part) for n, part in enumerate(cohorts)}
    seen = shown(histograms, {"2"}, Disclosure(Audience.OWNER))
    assert seen.pooled["auroc"] == pytest.approx(roc_auc_score(labels, logits), abs=1e-12)
    assert seen.pooled["positives"] == sum(labels)
    assert json.loads(json.dumps(seen.pooled)) == seen.pooled
    assert seen.counts.pooled == sum(histograms.values(), start=Histogram.empty())
    assert dict(seen.counts.sites) == histograms
    assert (seen.hidden, seen.shows_totals) == (frozenset(), True)


def test_nobody_at_all() -> None:
    assert shown({}).pooled["auroc"] is None


SITES = {name: Histogram.from_logits(*scored(i, 40 + i)) for i, name in enumerate("abcd")}


def hidden(own: set[str]) -> frozenset[str]:
    seen = shown(SITES, own)
    whole = sum(SITES.values(), start=Histogram.empty())
    assert seen.pooled == rounded(summarise(whole)).to_json()
    for name, metrics in seen.sites.items():
        if name in seen.hidden:
            assert metrics == dict.fromkeys(metrics)
            assert seen.counts.sites[name] is None
        else:
            assert metrics == rounded(summarise(SITES[name])).to_json()
    return seen.hidden


def test_sites_that_suppress_nothing_are_all_shown() -> None:
    assert hidden(set()) == set()


def test_several_suppressed_sites_hide_each_other() -> None:
    assert hidden({"c", "d"}) == {"c", "d"}


def test_one_suppressed_site_takes_the_smallest_other_along() -> None:
    # Else the pooled counts minus those shown would be its own.
    assert hidden({"d"}) == {"a", "d"}
    assert hidden({"a"}) == {"a", "b"}


def test_suppressed_sites_that_are_small_together_take_another_along() -> None:
    seen = shown({"a": small(0, 9), "b": small(1, 9), "c": small(9, 9)}, {"a", "b"})
    assert seen.hidden == {"a", "b", "c"}
    assert (seen.pooled["positives"], seen.pooled["negatives"]) == (10, 27)


@pytest.mark.parametrize("sites", [{"a": (1, 9), "b": (2, 9)}, {"a": (9, 2)}])
def test_of_totals_that_would_tell_a_small_count_nothing_is_shown(
    sites: dict[str, tuple[int, int]],
) -> None:
    heard: list[Event] = []
    with listening(heard.append):
        rules = Disclosure()
        for _ in range(2):
            seen = shown({name: small(*both) for name, both in sites.items()}, set(sites), rules)
    assert not seen.shows_totals
    assert set(seen.pooled.values()) == {None}
    assert seen.counts.pooled is None
    assert all(set(site.values()) == {None} for site in seen.sites.values())
    assert [type(event) for event in heard] == [Warned]  # once a run


def test_a_small_site_that_joins_late_is_no_difference_of_two_rounds() -> None:
    rules = Disclosure()
    assert shown({name: SITES[name] for name in "abc"}, (), rules).hidden == set()
    second = shown(SITES, {"d"}, rules)
    assert second.hidden == {"d"}
    assert set(second.pooled.values()) == {None}
    assert second.counts.pooled is None


def test_what_was_hidden_for_a_small_site_stays_hidden_when_that_is_away() -> None:
    rules = Disclosure()
    first = shown(SITES, {"d"}, rules)
    away = shown({name: SITES[name] for name in "abc"}, (), rules)
    assert "a" in away.hidden
    assert away.pooled["positives"] is None
    assert shown(SITES, {"d"}, rules) == first


def rules_of(folder: Path, run: str, split: str = "") -> Disclosure:
    return Disclosure(run=run, split=split, register=Register(folder / FILE))


@pytest.mark.parametrize("split", ["", "another fraction"])
def test_another_run_without_the_small_site_is_no_difference_either(
    tmp_path: Path, split: str
) -> None:
    """Nor is one whose validation patients are others: their numbers are much the same."""
    shown(SITES, {"d"}, rules_of(tmp_path, "first"))
    second = shown({name: SITES[name] for name in "abc"}, (), rules_of(tmp_path, "second", split))
    assert "a" in second.hidden
    assert not second.shows_totals
    # The other way round.
    other = tmp_path / "other"
    other.mkdir()
    assert shown({name: SITES[name] for name in "abc"}, (), rules_of(other, "first")).shows_totals
    second = shown(SITES, {"d"}, rules_of(other, "second", split))
    assert not second.shows_totals


def test_the_same_sites_in_another_run_are_shown_again(tmp_path: Path) -> None:
    first = shown(SITES, {"d"}, rules_of(tmp_path, "first"))
    lines = (tmp_path / FILE).read_bytes()
    assert shown(SITES, {"d"}, rules_of(tmp_path, "second")) == first
    assert (tmp_path / FILE).read_bytes() == lines


def test_few_patients_more_at_a_site_are_no_difference_of_two_runs(tmp_path: Path) -> None:
    base = {"a": small(20, 20), "b": small(20, 30)}
    assert shown(base, (), rules_of(tmp_path, "first")).shows_totals
    grown = {**base, "a": small(22, 21)}
    second = shown(grown, (), rules_of(tmp_path, "second"), {"a": "more data"})
    assert not second.shows_totals
    assert second.hidden == {"a"}
    third = shown({**base, "a": small(40, 40)}, (), rules_of(tmp_path, "3"), {"a": "much more"})
    assert third.shows_totals
    assert third.hidden == frozenset()


PRESENT = st.lists(st.sets(st.sampled_from("abcde"), min_size=1), min_size=1, max_size=6)
COUNTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=5, max_size=5)


@given(PRESENT, COUNTS)
def test_no_combination_of_rounds_or_runs_gives_a_small_site_away(
    present: list[Collection[str]], counts: list[tuple[int, int]]
) -> None:
    """All that is shown as linear equations of the sites' counts: no small one is determined."""
    histograms = {name: small(*both) for name, both in zip("abcde", counts, strict=True)}
    own = {name for name, h in histograms.items() if min(h.total_positives, h.total_negatives) < 5}
    rules, rows = Disclosure(), [np.zeros(5)]
    for names in present:
        seen = shown({name: histograms[name] for name in sorted(names)}, own & set(names), rules)
        parts = {n: np.array(["abcde".index(n) == k for k in range(5)]) for n in seen.sites}
        if seen.pooled["positives"] is not None:
            rows.append(np.sum(list(parts.values()), axis=0))
        rows += [parts[n] for n, one in seen.sites.items() if one["positives"] is not None]
    rank = np.linalg.matrix_rank(np.array(rows, dtype=float))
    for name in own:
        unit = np.eye(5)["abcde".index(name)]
        assert np.linalg.matrix_rank(np.array([*rows, unit], dtype=float)) == rank + 1
