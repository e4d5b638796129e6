"""The arms of a study of several classes on its page: names as a whole, and what is not shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from server.report.study.class_arms import class_arms_section
from server.results.plan import Arm, StudyPlan
from server.results.study import ClassArm, ClassStudyResult, ContrastResult, Measure, PredictedClass
from shared.metrics.repeats import Spread

LONG = "moderate or severe disease"
NOTHING = Measure(None, None)
CURVE = ((0.0, 0.0), (0.25, 0.75), (1.0, 1.0))


def measure(value: float) -> Measure:
    return Measure(Spread(3, value, 0.02), (value - 0.1, value + 0.1))


def arm(name: str, area: float, *, hidden: str = "") -> ClassArm:
    """Areas of three classes, of which one may be left out."""
    contrasts = tuple(
        ContrastResult(one, None, None, NOTHING, ())
        if one == hidden
        else ContrastResult(one, 20, 40, measure(area), CURVE)
        for one in ("none", LONG, "rare")
    )
    classes = tuple(
        PredictedClass(one.name, None, NOTHING, NOTHING)
        if one.positives is None
        else PredictedClass(one.name, 20, measure(0.5), measure(0.4))
        for one in contrasts
    )
    metrics = {"accuracy": measure(0.6), "kappa": measure(0.3), "brier": measure(0.2)}
    interval = (area - 0.1, area + 0.1)
    return ClassArm(Arm(name), 60, Spread(3, area, 0.01), interval, metrics, contrasts, classes, 2)


@pytest.fixture
def read(read_page: Callable[[str], Any], tables: Any) -> Callable[..., tuple[str, Any]]:
    def section(kind: str, *arms: ClassArm, left_out: tuple[str, ...] = ()) -> tuple[str, Any]:
        plan = StudyPlan(tuple(one.arm for one in arms), 2, 3)
        outcome = f"{kind}: none | {LONG} | rare"
        result = ClassStudyResult(plan, ("a",), arms, (), (), outcome=outcome, left_out=left_out)
        text = str(class_arms_section(result))
        return text, tables(read_page(f"<!doctype html><html><body>{text}</body></html>"))

    return section


def test_a_class_that_is_left_out_is_not_shown_in_any_column(read: Any) -> None:
    text, found = read(
        "classes", arm("first", 0.8, hidden="rare"), arm("second", 0.7, hidden="rare"),
        left_out=("rare",),
    )  # fmt: skip
    areas = next(rows for title, rows in found.items() if title.startswith("AUROC of each class"))
    assert [row[0] for row in areas[1:]] == ["none", LONG, "rare"]
    assert areas[3][1:] == ["not shown"] * 4
    assert areas[1][1:3] == ["20", "40"]
    assert "0.800" in areas[1][3]
    assert "0.700" in areas[1][4]
    shares = next(rows for title, rows in found.items() if title.startswith("Sensitivity"))
    assert shares[3][1:] == ["not shown"] * 3
    assert "Left out of every number" in text
    drawn = next(rows for title, rows in found.items() if title.startswith("Points of the ROC"))
    assert {row[0] for row in drawn[1:]} == {"none", LONG}


def test_a_long_name_stands_whole_in_the_legend(read: Any) -> None:
    text, found = read("ordinal", arm("first", 0.8), arm("second", 0.7))
    plot = text[text.index("<svg", text.index("ROC curves of the first arm") - 500) :]
    assert f"{LONG} or higher" in plot[: plot.index("</svg>")]
    cuts = next(rows for title, rows in found.items() if title.startswith("AUROC of each cut"))
    assert [row[0] for row in cuts[1:]] == ["none or higher", f"{LONG} or higher", "rare"]
    arms = next(rows for title, rows in found.items() if title.startswith("Arms; mean"))
    assert [row[0] for row in arms[1:]] == ["first", "second"]
    assert arms[1][1] == "60"


def test_an_undefined_measure_is_said_to_be_so(read: Any) -> None:
    plain = arm("first", 0.8)
    bare = ClassArm(
        plain.arm, 60, plain.auroc, plain.auroc_ci95, {"accuracy": NOTHING}, plain.contrasts,
        plain.classes, 2,
    )  # fmt: skip
    arms = next(rows for title, rows in read("classes", bare)[1].items() if title[:4] == "Arms")
    assert "not defined" in arms[1]
