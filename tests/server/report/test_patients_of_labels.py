"""How many patients a result of labels is of, where a label is missing of some of them."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.text import Text

from server.report.classes.words import mean_of_fewer, patients_of
from server.results.plan import Arm
from server.results.study import ClassArm, ContrastResult, Measure
from server.study.classes.table import arm_patients
from server.terminal.classes import print_classes
from server.terminal.external import _table
from shared.metrics.classes.results import ClassMetrics, LabelMetrics
from shared.metrics.repeats import Spread
from shared.metrics.summary import BinaryMetrics


def of_labels(*known: tuple[int | None, int | None]) -> LabelMetrics:
    labels = {
        f"label {n}": BinaryMetrics(positives=with_it, negatives=without)
        for n, (with_it, without) in enumerate(known)
    }
    return LabelMetrics(labels=labels)


def test_a_result_of_labels_says_of_how_many_patients_each_is_known() -> None:
    # 159 patients, of whom no label is known of all: neither 155 nor 125 of them is their number.
    assert patients_of(of_labels((73, 82), (39, 86), (21, 108))) == "125 to 155"
    assert patients_of(of_labels((30, 20), (10, 40))) == "50"
    assert patients_of(of_labels((30, 20), (None, None))) == "50"
    assert patients_of(ClassMetrics(patients=1234)) == "1,234"


def test_so_does_an_arm_of_a_study() -> None:
    area = Measure(Spread(1, 0.5, None), None)
    contrasts = tuple(ContrastResult(f"{n}", *sides, area, ()) for n, sides in enumerate(
        [(20, 30), (10, 35)]
    ))  # fmt: skip
    arm = ClassArm(Arm("a"), 50, Spread(1, 0.5, None), None, {}, contrasts, (), 1.0)
    assert arm_patients(arm) == "45 to 50"


def test_sites_whose_mean_is_over_fewer_cuts_are_named() -> None:
    said = mean_of_fewer("ordinal", 3, {"east": 3, "south": 2, "west": None})
    assert said is not None
    assert said.startswith("The mean AUROC of south is over fewer cuts than")
    assert mean_of_fewer("labels", 3, {"east": 3}) is None


def test_the_terminal_names_them_too() -> None:
    out = io.StringIO()
    one = {"outcome": "labels", "auroc": 0.5, "auroc_ci95": None, "balanced_accuracy": 0.5,
           "f1": 0.5}  # fmt: skip
    sites = {"east": {**one, "auroc_of": 3}, "west": {**one, "auroc_of": 2}}
    summary = {"rounds": 2, "pooled": {**one, "auroc_of": 3}, "site": sites}
    print_classes(Console(file=out, width=80), summary)
    text = " ".join(out.getvalue().split())
    assert "Over fewer of them at west, which lack patients." in text


@pytest.mark.parametrize("name", ["external", "hospital-2-a"])
def test_a_cohort_keeps_its_name_in_one_piece_on_a_terminal(name: str) -> None:
    heads = ("mean AUROC", "95 % CI", "accuracy", "balanced acc.", "w. kappa", "patients")
    table = _table(Text("All patients of each cohort"), "cohort", heads)
    table.add_row(name, "0.542", "0.467 to 0.614", "0.206", "0.178", "0.032", "125 to 155")
    out = io.StringIO()
    Console(file=out, width=80).print(table)
    assert name in out.getvalue()
    assert "0.467 to 0.614" in out.getvalue()
