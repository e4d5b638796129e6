"""A study's files: its plan before, its tables and its page afterwards."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from server.link.orders import ORDER
from server.study.document import FILE, PLAN, read_plan_and_settings, to_json
from server.study.plan import StudyPlan
from server.study.results import StudyResult
from shared.errors import ConfigError
from shared.files import write_text_atomically
from shared.setting import Scalar


def keep_to_plan(out: Path, plan: StudyPlan, settings: Mapping[str, Scalar]) -> None:
    """Write the study's plan, or ConfigError where the folder holds a study that this is not.

    A study may grow by arms and repeats: its runs stay, and its result is to be made anew.
    """
    text = json.dumps({"plan": asdict(plan), "settings": dict(settings)}, indent=1) + "\n"
    path = out / PLAN
    if path.exists():
        if path.read_text(encoding="utf-8") == text:
            return
        _require_growth(out, plan, settings)
        # In this order: a coordinator that saw an order without a result would begin to ask.
        (out / ORDER).unlink(missing_ok=True)
        (out / FILE).unlink(missing_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    write_text_atomically(path, text)


def _require_growth(out: Path, plan: StudyPlan, settings: Mapping[str, Scalar]) -> None:
    before, fixed = read_plan_and_settings(out)
    known = {arm.folder: arm for arm in before.arms}
    other = [arm for arm in plan.arms if known.get(arm.folder, arm) != arm]
    if before.folds != plan.folds or fixed != dict(settings) or other:
        what = f"another arm '{other[0].name}'" if other else "other folds or settings"
        raise ConfigError(f"{out} holds a study with {what}: see {PLAN}; choose another folder.")
    # What was shown once cannot be taken back, so what is shown now must be chosen beside it.
    if (out / FILE).exists() and plan.arms[: len(before.arms)] != before.arms:
        raise ConfigError(
            f"{out} has a result with the arms {', '.join(arm.name for arm in before.arms)}; keep "
            "them first and in this order, and add others after them, or choose another folder."
        )


def write_study(result: StudyResult, out: Path) -> None:
    """Write the tables and the page, and last study.json: with it the study is complete."""
    from server.report.study.data import report_of
    from server.report.study.page import study_page
    from server.report.write import FILE as PAGE
    from server.study.table import (
        ARMS,
        COMPARED,
        arm_rows,
        comparison_rows,
        to_csv,
        to_latex,
        to_markdown,
    )

    document = to_json(result)
    documents = {
        "study.md": to_markdown(result),
        "study.tex": to_latex(result),
        "arms.csv": to_csv(ARMS, arm_rows(result)),
        "comparisons.csv": to_csv(COMPARED, comparison_rows(result)),
        PAGE: study_page(report_of(out, result, document.encode("utf-8"))),
        FILE: document,
    }
    for name, text in documents.items():
        write_text_atomically(out / name, text)
