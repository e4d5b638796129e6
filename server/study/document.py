"""study.json: a study's result as a file, written and read back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from server.results.study import (
    Arm,
    ArmResult,
    Comparison,
    GradeResult,
    Group,
    Interval,
    PointResult,
    StudyPlan,
    StudyResult,
)
from shared.errors import ConfigError, RunError
from shared.json_file import DamagedFile, fitting, read_json, said
from shared.metrics.repeats import SignedRank, Spread

FILE, PLAN = "study.json", "plan.json"


def is_study(folder: Path) -> bool:
    """Whether a folder is a study's, finished or not."""
    return (folder / PLAN).is_file()


def to_json(result: StudyResult) -> str:
    """The file's text."""
    return json.dumps(asdict(result), indent=1) + "\n"


def read_study(folder: Path) -> StudyResult:
    """The result of a finished study.

    Raises ConfigError where there is none, RunError where the file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        raise ConfigError(
            f"{folder} holds a study that is not finished; give its `fedthaw study` command again, "
            "which goes on with it and writes its report."
        )
    try:
        with fitting():
            return _study(read_json(path))
    except (OSError, DamagedFile) as error:
        raise RunError(
            f"{path} cannot be read as a study's result ({said(error)}); give "
            "its `fedthaw study` command again, which writes it again from the runs."
        ) from error


def plan_of(document: Mapping[str, Any]) -> StudyPlan:
    """A plan as JSON has it. Raises KeyError, TypeError, ValueError."""
    arms = tuple(map(_arm, document["arms"]))
    return StudyPlan(arms, int(document["folds"]), int(document["repeats"]))


def _study(document: Mapping[str, Any]) -> StudyResult:
    return StudyResult(
        plan=plan_of(document["plan"]),
        sites=tuple(document["sites"]),
        arms=tuple(map(_arm_result, document["arms"])),
        comparisons=tuple(map(_comparison, document["comparisons"])),
        not_shown=tuple(document["not_shown"]),
        grade=document["grade"] and _grade(document["grade"]),
    )


def _grade(document: Mapping[str, Any]) -> GradeResult:
    return GradeResult(
        patients=(int(document["patients"][0]), int(document["patients"][1])),
        auroc=float(document["auroc"]),
        auroc_ci95=_interval(document["auroc_ci95"]),
        model_auroc=Spread(**document["model_auroc"]),
        difference=Spread(**document["difference"]),
        ci95=_interval(document["ci95"]),
        p=document["p"],
    )


def _arm(document: Mapping[str, Any]) -> Arm:
    return Arm(**{**document, "sites": tuple(document["sites"])})


def _arm_result(document: Mapping[str, Any]) -> ArmResult:
    return ArmResult(
        arm=_arm(document["arm"]),
        patients=(int(document["patients"][0]), int(document["patients"][1])),
        auroc=Spread(**document["auroc"]),
        auroc_ci95=_interval(document["auroc_ci95"]),
        balanced_accuracy=Spread(**document["balanced_accuracy"]),
        f1=Spread(**document["f1"]),
        brier=Spread(**document["brier"]),
        brier_calibrated=Spread(**document["brier_calibrated"]),
        points=tuple(map(_point, document["points"])),
        curve=tuple((float(x), float(y)) for x, y in document["curve"]),
        reliability=tuple(map(_group, document["reliability"])),
        reliability_calibrated=tuple(map(_group, document["reliability_calibrated"])),
        megabytes=float(document["megabytes"]),
    )


def _point(document: Mapping[str, Any]) -> PointResult:
    rates = {key: value and Spread(**value) for key, value in document.items() if key != "name"}
    return PointResult(str(document["name"]), **rates)


def _group(document: Mapping[str, Any]) -> Group:
    low, high = document["share_ci95"]
    return Group(**{**document, "share_ci95": (float(low), float(high))})


def _comparison(document: Mapping[str, Any]) -> Comparison:
    return Comparison(
        arm=_arm(document["arm"]),
        sites=tuple(document["sites"]),
        difference=Spread(**document["difference"]),
        ci95=_interval(document["ci95"]),
        p=document["p"],
        p_holm=document["p_holm"],
        signed_rank=SignedRank(**document["signed_rank"]),
    )


def _interval(limits: Sequence[float] | None) -> Interval | None:
    return None if limits is None else (float(limits[0]), float(limits[1]))
