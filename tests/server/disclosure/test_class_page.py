"""A page of several classes for others, from exact files: metrics, and what it leaves out."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from server.disclosure.class_cohorts import whole_classes
from server.disclosure.class_page import class_round_on_page, must_be_hidden, shown_evaluation_file
from server.run.evaluation_file import EvaluationFile
from server.run.folder import RunFolder
from server.run.ledger import RoundRecord, SiteRound
from shared.errors import ConfigError
from shared.metrics.classes.counts import ClassCounts
from shared.metrics.histogram import bin_of_probability
from shared.outcome.counts import are_hidden
from shared.outcome.registry import parse_outcome
from shared.settings.config import RunConfig

NAMES = ("none", "mild", "severe")
OUTCOME = parse_outcome(f"classes: {' | '.join(NAMES)}")
Patients = tuple[NDArray[np.int64], NDArray[np.float64]]


def patients(seed: int, each: tuple[int, int, int]) -> Patients:
    """True classes, so many of each, and the probabilities of a model that is often right."""
    rng = np.random.default_rng(seed)
    known = np.repeat([0, 1, 2], each)
    raw = rng.normal(size=(len(known), 3))
    raw[np.arange(len(known)), known] += 1.5
    return known, np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)


def counted(sites: dict[str, Patients]) -> dict[str, ClassCounts]:
    return {
        name: ClassCounts.from_bins(bin_of_probability(shares), known, shares.argmax(axis=1), 3)
        for name, (known, shares) in sites.items()
    }


def macro(sites: dict[str, Patients], classes: tuple[int, ...] = (0, 1, 2)) -> float:
    """scikit-learn's mean of each class against the rest, of the patients of these classes."""
    known = np.concatenate([own for own, _ in sites.values()])
    bins = np.concatenate([bin_of_probability(shares) for _, shares in sites.values()])
    held = np.isin(known, classes)
    return float(np.mean([roc_auc_score(known[held] == n, bins[held, n]) for n in classes]))


def exact_round(sites: dict[str, Patients]) -> RoundRecord:
    whole = whole_classes(counted(sites), OUTCOME)
    lines = {
        name: SiteRound(
            images=60, patients=60, steps=2, loss=0.712345, train_seconds=1.0,
            evaluate_seconds=0.5, peak_memory_bytes=10**6, continued_from=0, metrics=own,
        )
        for name, own in whole.sites.items()
    }  # fmt: skip
    return RoundRecord(
        round=1, plan={}, sites=lines, refused={}, attempts=1, loss=0.712345,
        validation=whole.pooled, bytes_down=1, bytes_up=1, bytes_full_exchange=9, seconds=1.0,
        wait_seconds=0.5,
    )  # fmt: skip


def folder(path: Path, **changes: Any) -> RunFolder:
    config = dataclasses.replace(RunConfig(), outcome=str(OUTCOME), sites="/a:/b", **changes)
    return RunFolder(path, "r1", config)


def evaluated(sites: dict[str, Patients], path: Path) -> dict[str, Any]:
    """summary.json's metrics for others, from the exact file."""
    whole = whole_classes(counted(sites), OUTCOME)
    summary = {"pooled": whole.pooled, "site": whole.sites, "rounds": 3}
    exact = EvaluationFile({"validation": whole.counts})
    shown, found = shown_evaluation_file(exact, summary, folder(path))
    assert not shown.cohorts["validation"].by_site
    assert found["rounds"] == 3
    return dict(found)


LARGE = {"north": patients(1, (30, 20, 12)), "south": patients(2, (14, 25, 20))}


def test_a_round_of_large_sites_has_the_mean_auroc_of_scikit_learn() -> None:
    shown = class_round_on_page(exact_round(LARGE), OUTCOME)
    assert shown.validation["auroc"] == pytest.approx(macro(LARGE), abs=0.0051)
    for name, own in LARGE.items():
        found = shown.sites[name].metrics
        assert found["auroc"] == pytest.approx(macro({name: own}), abs=0.051)
        assert [one["support"] for one in found["classes"].values()] == list(np.bincount(own[0]))
    assert shown.loss == 0.71  # two digits, of so many patients
    assert all(not cell % 5 for row in shown.validation["confusion"] for cell in row)


@pytest.mark.parametrize("few", [(30, 20, 3), (30, 20, 0)])
def test_a_small_class_of_one_site_hides_it_and_what_would_reveal_it(
    few: tuple[int, int, int],
) -> None:
    shown = class_round_on_page(exact_round({**LARGE, "west": patients(3, few)}), OUTCOME)
    hidden = {name for name, site in shown.sites.items() if are_hidden(site.metrics)}
    # One hidden site alone follows from the totals.
    assert "west" in hidden
    assert len(hidden) > 1 or are_hidden(shown.validation)
    for name in hidden:
        assert (shown.sites[name].patients, shown.sites[name].loss) == (None, None)


def test_a_round_shows_nothing_where_all_sites_together_have_few_of_a_class() -> None:
    sites = {"north": patients(1, (30, 20, 2)), "south": patients(2, (14, 25, 2))}
    shown = class_round_on_page(exact_round(sites), OUTCOME)
    assert are_hidden(shown.validation)
    assert shown.loss is None
    assert all(are_hidden(site.metrics) for site in shown.sites.values())


def test_a_rare_class_is_null_with_its_patients_in_no_number(tmp_path: Path) -> None:
    sites = {"north": patients(1, (30, 20, 2)), "south": patients(2, (14, 25, 2))}
    pooled = evaluated(sites, tmp_path)["pooled"]
    assert set(pooled["classes"]["severe"].values()) == {None}
    assert [pooled["classes"][name]["support"] for name in NAMES[:2]] == [44, 45]
    assert pooled["patients"] == 89
    assert pooled["auroc"] == pytest.approx(macro(sites, (0, 1)), abs=0.0051)
    other = {"north": patients(1, (30, 20, 2)), "south": patients(2, (14, 25, 1))}
    # Another number of its patients changes nothing; theirs are the last, so the others' scores
    # need the same draws.
    known, shares = sites["south"]
    other["south"] = (known[:-1], shares[:-1])
    assert evaluated(other, tmp_path)["pooled"] == pooled


def test_all_classes_of_large_sites_are_shown(tmp_path: Path) -> None:
    found = evaluated(LARGE, tmp_path)
    assert found["pooled"]["auroc"] == pytest.approx(macro(LARGE), abs=0.0051)
    assert [one["support"] for one in found["pooled"]["classes"].values()] == [44, 45, 32]


def test_what_cannot_be_hidden_is_refused(tmp_path: Path) -> None:
    assert must_be_hidden(folder(tmp_path), 5)
    assert not must_be_hidden(folder(tmp_path), 0)
    assert not must_be_hidden(folder(tmp_path, for_others=True), 5)
    with pytest.raises(ConfigError, match=r"min-cell is 6.* cannot be above 5"):
        must_be_hidden(folder(tmp_path), 6)
    with pytest.raises(ConfigError, match="no counts by site"):
        shown_evaluation_file(EvaluationFile({}), {}, folder(tmp_path))
