"""The tables of a study of several classes or labels: a row an arm, and a row a class of each."""

from __future__ import annotations

from server.results.study import ClassArm, ClassStudyResult, ContrastResult, Measure
from server.study.wording import megabytes_text, rounds_text, spread_text
from server.terminal.decimals import interval_or_dash, patients_by_label
from shared.outcome.registry import parse_outcome

Heads = tuple[str, ...]
Rows = list[tuple[str, ...]]
ROUNDS = "rounds a run"
CONTRASTS = ("arm", "{what}", "with", "without", "AUROC", "95 % CI")
WORDS = {
    "accuracy": "accuracy",
    "auprc": "mean AUPRC",
    "balanced_accuracy": "balanced accuracy",
    "kappa": "kappa",
    "kappa_quadratic": "quadratic kappa",
    "f1": "F1",
}
"""The metrics that the table of arms has, where the outcome has them; the columns' heads."""
PARTS = {"classes": "class", "ordinal": "cut", "labels": "label"}
"""By the kind of the outcome, what each AUROC is of."""


def arm_heads(result: ClassStudyResult) -> Heads:
    """The columns' heads of the table of arms."""
    return ("arm", "patients", "mean AUROC", "95 % CI", *(WORDS[n] for n in names_of(result)),
            ROUNDS, "MB a run")  # fmt: skip


def names_of(result: ClassStudyResult) -> tuple[str, ...]:
    """The metrics in the table of arms, by their names; of ordered classes one kappa, quadratic."""
    held = [name for name in WORDS if name in result.arms[0].metrics]
    return tuple(name for name in held if name != "kappa" or "kappa_quadratic" not in held)


def arm_rows(result: ClassStudyResult) -> Rows:
    """A row for each arm; mean and standard deviation over the repeats."""
    names = names_of(result)
    return [_arm_row(one, names) for one in result.arms]


def contrast_heads(result: ClassStudyResult) -> Heads:
    """The columns' heads of the table of classes, cuts or labels."""
    what = PARTS[parse_outcome(result.outcome).kind]
    return tuple(head.format(what=what) for head in CONTRASTS)


def contrast_rows(result: ClassStudyResult) -> Rows:
    """A row for each class, cut or label of each arm."""
    ordinal = parse_outcome(result.outcome).kind == "ordinal"
    return [
        (arm.arm.name, contrast_name(arm, one, ordinal=ordinal), _count(one.positives),
         _count(one.negatives), *measure_cells(one.auroc))
        for arm in result.arms
        for one in arm.contrasts
    ]  # fmt: skip


def contrast_name(arm: ClassArm, one: ContrastResult, *, ordinal: bool) -> str:
    """A class or label, or all classes from one upward."""
    last = one.name == arm.contrasts[-1].name
    return f"{one.name} or higher" if ordinal and not last else one.name


def measure_cells(one: Measure) -> tuple[str, str]:
    """The mean with its deviation, and the interval."""
    return _measure(one), interval_or_dash(one.ci95)


def arm_patients(arm: ClassArm) -> str:
    """Its held-out patients; of labels the fewest and the most of whom one is known."""
    known = [
        one.positives + one.negatives
        for one in arm.contrasts
        if not arm.classes and one.positives is not None and one.negatives is not None
    ]
    return patients_by_label(known or [arm.patients])


def _arm_row(one: ClassArm, names: tuple[str, ...]) -> tuple[str, ...]:
    return (
        one.arm.name,
        arm_patients(one),
        spread_text(one.auroc),
        interval_or_dash(one.auroc_ci95),
        *(_measure(one.metrics.get(name, Measure(None, None))) for name in names),
        rounds_text(one.rounds),
        megabytes_text(one.megabytes),
    )


def _measure(one: Measure) -> str:
    return "-" if one.over_repeats is None else spread_text(one.over_repeats)


def _count(patients: int | None) -> str:
    return "-" if patients is None else str(patients)
