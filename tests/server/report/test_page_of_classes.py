"""The page of a run with several classes or labels, from files that the run's own code wrote."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server.disclosure.run import Disclosure
from server.report.page import run_page
from server.report.read import read_report
from server.results.shown import Audience, Shown
from server.run.evaluation_file import write_evaluation
from server.run.folder import RunFolder, write_config
from server.run.ledger import RoundRecord, SiteRound, append_round
from server.run.summary import FinalEvaluation, build_summary, write_summary
from server.tracking.scalars import final_scalars
from shared.errors import ConfigError
from shared.metrics.classes.counts import ClassCounts
from shared.metrics.classes.labels import LabelCounts
from shared.metrics.histogram import bin_of_probability
from shared.outcome.outcome import Outcome
from shared.outcome.registry import parse_outcome
from shared.protocol.plan import plan_to_values
from shared.settings.config import RunConfig
from shared.settings.schedule import plan_round

OUTCOMES = [
    "classes: none | mild | severe",
    "ordinal: none | mild | severe",
    "labels: effusion | oedema",
]
Page = Callable[[str], Any]
Tables = Callable[[Any], dict[str, list[list[str]]]]


def counts_of(outcome: Outcome, seed: int, rare: int) -> ClassCounts | LabelCounts:
    """Some 60 patients of a model that is right more often than not, `rare` of the last class."""
    rng = np.random.default_rng(seed)
    if outcome.kind == "labels":
        labels = np.array([[a, b] for a, b in itertools.product((0, 1), repeat=2)] * 15)
        labels[rare:, 1] = np.where(labels[rare:, 1] == 1, -1, labels[rare:, 1])
        return LabelCounts.from_bins(bin_of_probability(rng.beta(2 + 2 * (labels == 1), 3)), labels)
    known = np.repeat([0, 1, 2], [30, 30, rare])
    raw = rng.normal(size=(len(known), 3))
    raw[np.arange(len(known)), known] += 1.5
    shares = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    if outcome.kind == "ordinal":
        above = np.stack([shares[:, 1:].sum(axis=1), shares[:, 2]], axis=1)
        return ClassCounts.from_bins(bin_of_probability(above), known, (above > 0.5).sum(1), 3)
    return ClassCounts.from_bins(bin_of_probability(shares), known, shares.argmax(axis=1), 3)


def make_run(path: Path, outcome: str, *, others: bool = False, rare: int = 20) -> Path:
    """A finished run's folder, as the run's own rules and writers leave it."""
    small: dict[str, Any] = {"backbone": "micro", "probe_rounds": 1, "rounds": 1}
    config = dataclasses.replace(
        RunConfig(), **small, outcome=outcome, sites="/a:/b", for_others=others
    )
    folder = RunFolder(path / "run", "r1", config)
    write_config(folder, "sha256:" + "ab" * 32, "random")
    audience = Audience.OTHERS if others else Audience.OWNER
    rules = Disclosure(audience, outcome=parse_outcome(outcome))
    counts = {name: counts_of(rules.outcome, n, rare) for n, name in enumerate(["north", "south"])}
    small_sites = {"north", "south"} if rare < 5 else set()
    cohort = rules.cohort("validation", counts, small_sites, dict.fromkeys(counts, ""))
    sites = {
        name: SiteRound(
            images=60, patients=60, steps=2, loss=0.7, train_seconds=1.0, evaluate_seconds=0.5,
            peak_memory_bytes=10**6, continued_from=0, metrics=own,
        )
        for name, own in cohort.sites.items()
    }  # fmt: skip
    record = RoundRecord(
        round=1, plan=plan_to_values(plan_round(config, 1)), sites=sites, refused={}, attempts=1,
        loss=0.7, validation=cohort.pooled, bytes_down=1, bytes_up=1, bytes_full_exchange=9,
        seconds=1.0, wait_seconds=0.5,
    )  # fmt: skip
    append_round(folder.ledger, Shown(record))
    folder.model.write_bytes(b"weights")
    final = FinalEvaluation(
        pooled=cohort.pooled, sites=cohort.sites, missing={}, bytes_down=1, bytes_up=1,
        bytes_full_exchange=9, seconds=0.5, evaluate_seconds=1.0,
    )  # fmt: skip
    write_evaluation(folder.path, rules.evaluation({"validation": cohort}, {}))
    write_summary(folder.summary, rules.summary(build_summary("r1", "sha256:ab", [record], final)))
    return folder.path


def number(text: str) -> float:
    """The number with which a text begins."""
    return float(text.split(" ", maxsplit=1)[0])


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda text: text.partition(":")[0])
def test_the_page_has_what_the_run_found(
    tmp_path: Path,
    outcome: str,
    read_page: Page,
    tables: Tables,
    summary_of: Callable[[Path], dict[str, Any]],
) -> None:
    run = make_run(tmp_path, outcome)
    pooled = summary_of(run)["pooled"]
    root = read_page(run_page(read_report(run)))
    kind, names = outcome.partition(":")[0], parse_outcome(outcome).names
    sentence = next(one.text for one in root.all("p") if "outcome" in one.attributes.values())
    area, low = sentence.split("mean AUROC of ")[1].split("(95 % CI ")
    assert number(area) == pytest.approx(pooled["auroc"], abs=5e-4)
    assert number(low) == pytest.approx(pooled["auroc_ci95"][0], abs=5e-4)
    assert "distinguished" in sentence
    found = tables(root)
    title = "Each label" if kind == "labels" else "Each class"
    each = found[f"{title}, validation patients, with 95 % CIs"]
    assert [row[0] for row in each[1:]] == list(names)
    by_name = pooled["labels" if kind == "labels" else "classes"]
    for row in each[1:]:
        sensitivity = row[each[0].index("sensitivity")]
        assert number(sensitivity) == pytest.approx(by_name[row[0]]["sensitivity"], abs=5e-4)
    sites = found["Performance by site, validation patients"]
    assert [row[0] for row in sites[1:]] == ["all sites", "north", "south"]
    of_all = sites[1][sites[0].index("mean AUROC")]
    assert number(of_all) == pytest.approx(pooled["auroc"], abs=5e-4)
    assert root.text.count(f"{', '.join(names)}, as the sites' site.toml") == 1
    assert f"{', '.join(names)}: {', '.join(names)}" not in root.text
    if kind != "labels":
        matrix = found["Confusion matrix, validation patients"]
        assert [list(map(int, row[1:])) for row in matrix[1:]] == pooled["confusion"]
        kappa = "quadratic weighted kappa" if kind == "ordinal" else "kappa"
        assert kappa in [row[0] for row in found["All classes, validation patients"]]
    curves = {row[0] for row in found["Corners of the ROC curves, validation patients"][1:]}
    wanted = {"mild or higher", "severe"} if kind == "ordinal" else set(names)
    assert curves == wanted
    assert {row[0] for row in found["Groups of the reliability curves, validation patients"][1:]}
    assert "threshold" not in root.text.replace("threshold=", "").lower() or kind == "labels"


def test_a_rare_class_is_named_and_nothing_of_it_is_on_the_page(
    tmp_path: Path, read_page: Page, tables: Tables
) -> None:
    run = make_run(tmp_path, OUTCOMES[0], others=True, rare=2)
    root = read_page(run_page(read_report(run)))
    assert "Left out of every number" in root.text
    (severe,) = (
        row for row in tables(root)["Each class, validation patients, with 95 % CIs"]
        if row[0] == "severe"
    )  # fmt: skip
    assert set(severe[1:]) == {"not shown"}
    assert {row[0] for row in tables(root)["Confusion matrix, validation patients"]} == {
        "true class", "none", "mild",
    }  # fmt: skip
    assert "only where it has at least 5 patients of every class" in root.text


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda text: text.partition(":")[0])
@pytest.mark.parametrize("rare", [2, 20])
def test_a_page_for_others_shows_what_a_run_for_others_has(
    tmp_path: Path, outcome: str, rare: int
) -> None:
    owner = make_run(tmp_path / "owner", outcome, rare=rare)
    others = read_report(make_run(tmp_path / "others", outcome, others=True, rare=rare))
    found = read_report(owner, for_others=True)
    assert found.classes == others.classes
    assert found.min_cell == others.min_cell == 5
    assert [one.auroc for one in found.rounds] in ([None], [one.auroc for one in others.rounds])
    assert read_report(owner).classes != found.classes
    if rare < 5:  # nothing of a round, whose metrics are of the rare class as well
        assert (found.rounds[0].auroc, found.rounds[0].loss) == (None, None)
    run_page(found)


def test_a_file_without_counts_by_site_cannot_be_made_a_page_for_others(tmp_path: Path) -> None:
    run = make_run(tmp_path, OUTCOMES[0])
    file = run / "evaluation.json"
    document = json.loads(file.read_text())
    del document["cohorts"]["validation"]["by_site"]
    file.write_text(json.dumps(document))
    with pytest.raises(ConfigError, match="kept no counts by site"):
        read_report(run, for_others=True)
    assert read_report(run).classes
    others = make_run(tmp_path / "others", OUTCOMES[0], others=True)
    assert read_report(others).min_cell == 5
    with pytest.raises(ConfigError, match="cannot be above 5"):
        read_report(others, min_cell=6)


def test_recorders_have_a_value_for_each_class(
    tmp_path: Path, summary_of: Callable[[Path], dict[str, Any]]
) -> None:
    for number, outcome in enumerate(OUTCOMES):
        run = make_run(tmp_path / str(number), outcome)
        pooled = summary_of(run)["pooled"]
        values = final_scalars(summary_of(run))
        kind = outcome.partition(":")[0]
        one, key, called = {
            "classes": ("mild", "classes", "class"),
            "ordinal": ("mild", "cuts", "from"),
            "labels": ("oedema", "labels", "label"),
        }[kind]
        assert values[f"final/{called}/{one}/auroc"] == pooled[key][one]["auroc"]
        assert values["final/auroc"] == pooled["auroc"]
        record = read_report(run).rounds[0]
        assert record.auroc == pooled["auroc"]
        assert ("final/kappa_quadratic" in values) == (kind == "ordinal")
