"""What others see of several classes on cohorts: other hidden patients leave the same files."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest

from server.disclosure.class_external import shown_class_evaluation
from server.disclosure.evaluations import ShownEvaluations, digests
from server.disclosure.external import shown_evaluation
from server.disclosure.register import Register
from server.external.class_tables import class_metrics_csv, class_roc_csv
from server.external.cohorts import ScoredCohort, evaluate_cohorts
from server.external.document import class_document
from server.external.subgroups import Column
from server.report.external.page import class_evaluation_page
from server.results.external import ClassEvaluation, ExternalEvaluation
from server.results.shown import Audience, Shown
from shared.metrics.classes.results import ClassMetrics
from shared.run.finished import FinishedRun, StoredRun
from shared.run.patient_scores import PatientScore, ScoreFile
from shared.settings.config import RunConfig

SEX = Column("sex")
OUTCOME = "classes: none | mild | severe"
Counts = tuple[int, int, int]
HIDDEN: dict[str, Counts] = {"east": (9, 8, 4), "south": (8, 9, 4)}
NORTH: Counts = (30, 20, 10)


def made(name: str, counts: Counts, seed: int = 0, sexes: str = "F") -> ScoredCohort:
    """Patients at random scores; `sexes` are dealt one after the other."""
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1, 2], counts)
    patients = []
    for number, label in enumerate(labels.tolist()):
        scores = rng.dirichlet(1 + 2 * (np.arange(3) == label))
        values = {"sex": (sexes[number % len(sexes)],)}
        patients.append(
            PatientScore(name, f"P{number}", label, 0.0, 1, values, tuple(scores.tolist()))
        )
    return ScoredCohort(ScoreFile(name, "all", "grade", 5, tuple(patients), OUTCOME), ())


def for_others(*cohorts: ScoredCohort, register: Register | None = None) -> Shown[ClassEvaluation]:
    config = RunConfig(outcome=OUTCOME)
    finished = FinishedRun(StoredRun("r", config, ""), Path("model"), None)
    exact = evaluate_cohorts(finished, "first", cohorts, [SEX])
    assert isinstance(exact, ClassEvaluation)
    beside = ShownEvaluations("r", register or Register(), digests(cohorts, [SEX]), OUTCOME)
    return shown_class_evaluation(
        exact, Audience.OTHERS, {one.scores.site: 5 for one in cohorts}, beside
    )


def files(shown: Shown[ClassEvaluation]) -> tuple[str, ...]:
    return (
        class_document(shown), class_metrics_csv(shown), class_roc_csv(shown),
        class_evaluation_page(shown),
    )  # fmt: skip


def is_shown(shown: Shown[ClassEvaluation]) -> dict[str, bool]:
    return {one.name: one.performance is not None for one in shown.value.all}


def test_the_owner_sees_all_of_it() -> None:
    config = RunConfig(outcome=OUTCOME)
    finished = FinishedRun(StoredRun("r", config, ""), Path("model"), None)
    exact = evaluate_cohorts(finished, "first", [made("north", (1, 2, 0))])
    assert isinstance(exact, ClassEvaluation)
    beside = ShownEvaluations("r", Register(), {}, OUTCOME)
    assert shown_class_evaluation(exact, Audience.OWNER, {}, beside).value is exact


def test_hidden_cohorts_that_shared_their_patients_out_otherwise_leave_the_same_files() -> None:
    own = {name: made(name, counts, seed) for seed, (name, counts) in enumerate(HIDDEN.items())}
    shown = for_others(made("north", NORTH, 7), *own.values())
    assert is_shown(shown) == {"north": True, "east": False, "south": False, "all cohorts": True}
    pool = [patient for one in own.values() for patient in one.scores.patients]
    severe = [one for one in pool if one.truth == 2]
    worlds = []
    for taken in (1, 3):
        east = [one for one in pool if one not in severe[:taken] and one.site == "east"]
        south = [one for one in pool if one.site == "south"] + severe[:taken]
        cohorts = [
            ScoredCohort(ScoreFile(name, "all", "grade", 5, tuple(patients), OUTCOME), ())
            for name, patients in (("east", east), ("south", south))
        ]
        worlds.append(files(for_others(made("north", NORTH, 7), *cohorts)))
    assert worlds[0] == worlds[1] == files(shown)


def test_a_class_with_few_patients_everywhere_is_left_out_with_all_of_them() -> None:
    one, other = (for_others(made("north", (30, 20, rare), 7)) for rare in (1, 4))
    assert is_shown(one) == {"north": True}
    assert files(one)[:3] == files(other)[:3]
    found = one.value.cohorts[0].performance
    assert found is not None
    metrics = cast(ClassMetrics, found.metrics)
    assert (metrics.patients, metrics.classes["severe"].support) == (50, None)
    assert found.counts is None


def test_subgroups_with_few_of_a_class_are_hidden_and_lose_their_names() -> None:
    shown = for_others(made("north", (60, 60, 33), 7, sexes="FFFFFFFFFM"))
    groups = [(one.value, one.performance is None) for one in shown.value.cohorts[0].subgroups]
    assert groups == [("other groups", True)]
    shown = for_others(made("north", (60, 60, 33), 7, sexes="FM"))
    assert [one.value for one in shown.value.cohorts[0].subgroups] == ["F", "M"]


@pytest.mark.parametrize("first", [True, False])
def test_what_two_outcomes_show_of_the_same_cohorts_is_not_subtracted(
    first: bool, tmp_path: Path
) -> None:
    """East's severe patients are few; north alone as a finding would leave them from both."""
    register = Register(tmp_path / "releases.jsonl")
    both = (made("north", NORTH, 7), made("east", HIDDEN["east"], 1), made("south", NORTH, 2))
    finding = finding_of(both[0], both[2])
    if first:
        for_others(*both, register=register)
        found = is_shown_finding(finding, register)
        assert (found["north"], found["all cohorts"]) == (False, False)
    else:
        assert all(is_shown_finding(finding, register).values())
        assert not is_shown(for_others(*both, register=register))["all cohorts"]


def finding_of(*cohorts: ScoredCohort) -> tuple[ScoredCohort, ...]:
    """The same patients where the last class alone is the finding."""
    return tuple(
        ScoredCohort(
            ScoreFile(
                one.scores.site, "all", "grade", 5,
                tuple(
                    PatientScore(p.site, p.patient, int(p.truth == 2), p.scores[2], 1, p.values)
                    for p in one.scores.patients
                ),
            ),
            (),
        )
        for one in cohorts
    )  # fmt: skip


def is_shown_finding(cohorts: tuple[ScoredCohort, ...], register: Register) -> dict[str, bool]:
    finished = FinishedRun(StoredRun("b", RunConfig(), ""), Path("model"), None)
    exact = evaluate_cohorts(finished, "second", cohorts)
    assert isinstance(exact, ExternalEvaluation)
    beside = ShownEvaluations("b", register, digests(cohorts, []))
    limits = {one.scores.site: 5 for one in cohorts}
    shown = shown_evaluation(exact, Audience.OTHERS, limits, beside)
    return {one.name: one.performance is not None for one in shown.value.all}
