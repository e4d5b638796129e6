"""How many digits of a study's arm are shown, and that nothing is of what is not kept."""

from __future__ import annotations

from dataclasses import replace

from server.disclosure.class_arms import NOTHING, rounded_arm
from server.results.plan import Arm
from server.results.study import ClassArm, ContrastResult, Measure, PredictedClass
from shared.metrics.repeats import Spread

EXACT = Measure(Spread(3, 0.8123456, 0.0234567), (0.7123456, 0.9123456))
ARM = ClassArm(
    arm=Arm("first"),
    patients=60,
    auroc=Spread(3, 0.8123456, 0.0234567),
    auroc_ci95=(0.7123456, 0.9123456),
    metrics={"accuracy": EXACT, "kappa": NOTHING},
    contrasts=(
        ContrastResult("none", 30, 30, EXACT, ((0.0, 0.0), (0.3333333, 0.6666666), (1.0, 1.0))),
        ContrastResult("mild", None, None, EXACT, ((0.5, 0.5),)),
    ),
    classes=(PredictedClass("none", 30, EXACT, EXACT), PredictedClass("mild", None, EXACT, EXACT)),
    megabytes=1.23456,
)


def test_few_patients_support_few_digits() -> None:
    shown = rounded_arm(ARM)
    assert (shown.auroc.mean, shown.auroc_ci95) == (0.81, (0.71, 0.91))
    assert shown.metrics["accuracy"].ci95 == (0.71, 0.91)
    assert shown.contrasts[0].curve[1] == (0.33, 0.67)
    assert shown.megabytes == 1.235


def test_of_what_is_not_kept_there_is_nothing() -> None:
    shown = rounded_arm(ARM)
    assert shown.contrasts[1] == ContrastResult("mild", None, None, NOTHING, ())
    assert shown.classes[1] == PredictedClass("mild", None, NOTHING, NOTHING)
    assert shown.metrics["kappa"] == NOTHING


def test_what_is_rounded_stays_as_it_is() -> None:
    once = rounded_arm(ARM)
    assert rounded_arm(once) == replace(once)
