"""What others see of an evaluation: other patients in hidden groups leave the very same files."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from server.disclosure.evaluations import ShownEvaluations, digests
from server.disclosure.external import shown_evaluation
from server.disclosure.register import Register
from server.external.cohorts import ScoredCohort, evaluate_cohorts
from server.external.document import to_json
from server.external.subgroups import Column
from server.external.tables import metrics_csv, reliability_csv, roc_csv
from server.report.external.page import evaluation_page
from server.results.external import ExternalEvaluation
from server.results.shown import Audience, Shown
from shared.run.events import listening
from shared.run.finished import Calibration, FinishedRun, OperatingPoint, StoredRun
from shared.run.patient_scores import PatientScore, ScoreFile
from shared.settings.config import RunConfig

SEX = Column("sex")
CHOSEN = Calibration(None, (OperatingPoint("youden", 0.45),), (0.1, 0.8))
Group = list[tuple[int, float]]
"""Classes and scores."""


def group(positives: int, negatives: int, shift: float = 0.0) -> Group:
    """Scores spread evenly, those of positives higher."""
    high = [(1, 0.3 + shift + 0.6 * n / positives) for n in range(positives)]
    return high + [(0, 0.1 + shift + 0.6 * n / negatives) for n in range(negatives)]


def made(name: str, min_cell: int = 5, **groups: Group) -> ScoredCohort:
    patients = (
        PatientScore(name, f"{value}{n}", truth, score, 1, {"sex": (value,)})
        for value, own in groups.items()
        for n, (truth, score) in enumerate(own)
    )
    return ScoredCohort(ScoreFile(name, "all", "x (1)", min_cell, tuple(patients)), ())


def evaluated(*cohorts: ScoredCohort, column: Column = SEX) -> ExternalEvaluation:
    finished = FinishedRun(StoredRun("r", RunConfig(), ""), Path("model"), CHOSEN)
    found = evaluate_cohorts(finished, "first", cohorts, [column])
    assert isinstance(found, ExternalEvaluation)
    return found


def for_others(
    *cohorts: ScoredCohort, register: Register | None = None, column: Column = SEX
) -> Shown[ExternalEvaluation]:
    limits = {one.scores.site: one.scores.min_cell for one in cohorts}
    beside = ShownEvaluations("r", register or Register(), digests(cohorts, [column]))
    return shown_evaluation(evaluated(*cohorts, column=column), Audience.OTHERS, limits, beside)


def files(shown: Shown[ExternalEvaluation]) -> tuple[str, ...]:
    return to_json(shown), metrics_csv(shown), roc_csv(shown), reliability_csv(shown)


def performances(shown: Shown[ExternalEvaluation]) -> dict[str, bool]:
    """Cohorts, and subgroups as `cohort/value`, by whether they are shown."""
    found = {one.name: one.performance is not None for one in shown.value.all}
    return found | {
        f"{one.name}/{sub.value}": sub.performance is not None
        for one in shown.value.all
        for sub in one.subgroups
    }


def test_the_owner_sees_all_of_it() -> None:
    exact = evaluated(made("north", F=group(2, 1), M=group(30, 30)))
    beside = ShownEvaluations("r", Register(), {})
    assert shown_evaluation(exact, Audience.OWNER, {"north": 5}, beside).value is exact


def test_a_small_group_is_hidden_with_another_to_which_it_could_be_added() -> None:
    shown = for_others(made("north", F=group(30, 40), M=group(20, 20), X=group(2, 1)))
    assert performances(shown) == {"north": True, "north/F": True, "north/other groups": False}
    assert shown.value.audience is Audience.OTHERS
    assert json.loads(to_json(shown))["audience"] == "others"


def test_a_cohort_may_ask_for_more_than_others_do() -> None:
    both = made("north", 25, F=group(30, 30), M=group(20, 40)), made("east", F=group(30, 30))
    assert performances(for_others(*both)) == {
        "north": True, "north/other groups": False, "east": True, "east/F": True,
        "all cohorts": True,
    }  # fmt: skip


def test_a_small_cohort_is_hidden_with_all_of_its_subgroups() -> None:
    small = made("west", F=group(3, 30), M=group(1, 40))
    shown = for_others(made("north", F=group(30, 30)), made("east", F=group(40, 40)), small)
    assert not any(seen for name, seen in performances(shown).items() if name.startswith("west"))
    assert sum(performances(shown)[name] for name in ("north", "east")) == 1
    west = shown.value.cohorts[2]
    assert (west.images, west.performance) == (None, None)
    assert "west" not in metrics_csv(shown) + roc_csv(shown) + reliability_csv(shown)


def test_nothing_is_shown_of_a_single_small_cohort() -> None:
    assert not any(performances(for_others(made("north", F=group(4, 4)))).values())


def test_no_file_tells_who_is_in_a_hidden_group() -> None:
    """Patients change sex between hidden groups, and these their names: only what their owner has
    changes."""
    men, others = group(20, 20), group(2, 1)
    swapped = [*men[:5], others[1], *men[6:]], [others[0], men[5], others[2]]
    known = group(30, 40, 0.05)
    worlds = [
        made("north", F=known, M=men, X=others),
        made("north", F=known, M=swapped[0], X=swapped[1]),
        made("north", F=known, M=men[:30], Y=others[:2], Z=[*men[30:], others[2]]),
    ]
    shown = [for_others(world) for world in worlds]
    assert len({files(one) for one in shown}) == 1
    assert len({evaluation_page(one) for one in shown}) == 1
    assert len({files(Shown(evaluated(world))) for world in worlds}) == 3


def test_no_file_has_a_patients_own_score_or_more_digits_than_patients_support() -> None:
    cohort = made("north", F=group(30, 40), M=group(37, 23, 0.011))
    text = "".join(files(for_others(cohort)))
    scores = {repr(patient.score) for patient in cohort.scores.patients}
    assert not any(score in text for score in scores if len(score) > 6)
    shown = for_others(cohort).value.cohorts[0].performance
    assert shown is not None
    for estimate in (shown.auroc, shown.auprc, shown.before.brier, shown.before.slope):
        assert estimate.value is not None
        assert estimate.value == round(estimate.value, 3)
    assert all(point.counts is None for point in shown.points)
    assert all(corner.threshold is None for corner in shown.roc)


def test_each_step_of_what_is_by_score_holds_five_patients() -> None:
    shown = for_others(made("north", F=group(11, 17), M=group(16, 13))).value.cohorts[0]
    assert shown.performance is not None
    held = shown.performance.counts.by_bin
    assert min(held[held > 0]) >= 5
    for quality in (shown.performance.before, shown.performance.after):
        assert quality is not None
        assert min(one.patients for one in quality.reliability) >= 5
    rates = [corner.true_positive_rate for corner in shown.performance.roc]
    assert rates == sorted(rates)


@pytest.mark.parametrize("audience", list(Audience))
def test_the_page_says_for_whom_it_is(audience: Audience) -> None:
    cohort = made("north", F=group(30, 40), X=group(2, 1))
    beside = ShownEvaluations("r", Register(), digests([cohort], [SEX]))
    page = evaluation_page(shown_evaluation(evaluated(cohort), audience, {"north": 5}, beside))
    own = audience is Audience.OWNER
    assert ("For the owner of these folders: nothing is hidden" in page) is own
    assert ("For others: what would reveal few patients is hidden" in page) is not own
    assert ("true positives" in page) is own


def test_hidden_groups_never_leave_one_alone() -> None:
    """Whatever the sizes, hidden groups of a column are none, or at least two with five a class."""
    sizes = [(2, 3), (6, 6), (30, 20)]
    for counts in itertools.product(sizes, repeat=3):
        groups = {f"g{n}": group(p, q) for n, (p, q) in enumerate(counts)}
        cohort = made("north", 5, **groups)
        (one,) = for_others(cohort).value.cohorts
        seen = {sub.value for sub in one.subgroups if sub.performance is not None}
        hidden = set(groups) - seen
        if one.performance is None or not hidden:
            continue
        patients = [p for p in cohort.scores.patients if p.values["sex"][0] in hidden]
        positives = sum(p.truth for p in patients)
        assert len(hidden) >= 2 or len(hidden) == len(groups)
        assert min(positives, len(patients) - positives) >= 5


def test_patients_that_come_later_are_not_revealed_by_the_difference(tmp_path: Path) -> None:
    men = group(20, 20)

    def shown(women: Group) -> dict[str, bool]:
        register = Register(tmp_path / "releases.jsonl")  # as another process opens it
        return performances(for_others(made("north", F=women, M=men), register=register))

    everything = {"north": True, "north/F": True, "north/M": True}
    assert shown(group(30, 40)) == everything
    assert shown(group(30, 40)) == everything  # the same patients, again
    assert not any(shown(group(31, 40)).values())  # and one more
    assert shown(group(45, 60)) == everything  # many more: each may be any of them
    assert not any(shown(group(44, 60)).values())


def test_a_subgroup_that_grows_by_few_is_hidden_where_the_cohort_grows_by_many() -> None:
    register = Register()
    for women, men, seen in ((30, 20, True), (31, 40, False)):
        cohort = made("north", F=group(women, women), M=group(men, men))
        found = performances(for_others(cohort, register=register))
        assert found.pop("north")
        assert any(found.values()) is seen


def test_a_cohort_that_was_hidden_behind_a_total_does_not_follow_from_the_rest() -> None:
    register = Register()
    north, east = made("north", F=group(30, 30)), made("east", F=group(40, 40))
    south, west = made("south", F=group(3, 30)), made("west", F=group(9, 40))
    first = performances(for_others(north, east, south, west, register=register))
    assert first["all cohorts"]
    assert first["north"]
    assert first["east"]
    second = performances(for_others(north, east, west, register=register))
    # Else south were the first less this.
    assert not second["all cohorts"]
    assert not second["west"]
    assert performances(for_others(north, east, register=register))["all cohorts"]


def test_another_cut_of_a_column_is_not_shown_beside_the_first() -> None:
    register, cohort = Register(), made("north", 5, **{str(n): group(10, 10) for n in range(1, 5)})
    warned: list[str] = []
    with listening(lambda event: warned.append(getattr(event, "text", ""))):
        for edge, seen in ((3.0, True), (2.0, False), (3.0, True)):
            column = Column("sex", (edge,))
            found = performances(for_others(cohort, register=register, column=column))
            assert found.pop("north")
            assert all(found.values()) is seen
    assert [text.partition(".")[0] for text in warned] == ["Not shown: subgroups of north by sex"]


def test_a_page_of_cohorts_of_which_none_is_shown() -> None:
    shown = for_others(made("north", F=group(2, 1)), made("east", F=group(1, 2)))
    assert not any(performances(shown).values())
    assert "is not shown" in evaluation_page(shown)
