"""A finished study as the page shows it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from server.results.study import AnyStudy
from server.study.cells import Cell
from server.study.document import FILE, PLAN, read_study
from shared.errors import RunError
from shared.settings.setting import Scalar
from shared.storage.json_file import DamagedFile, fitting, read_json, said


@dataclass(frozen=True)
class StudyReport:
    """The result, and how it was made. `settings` are those of all arms that are not defaults."""

    name: str
    result: AnyStudy
    settings: Mapping[str, Scalar]
    base_digest: str
    """Of the first arm's weights."""
    versions: Mapping[str, str]
    result_digest: str
    """SHA-256 of study.json."""
    finding: str = ""
    """What the first arm predicts, "" where neither the settings nor the sites say."""


def read_study_report(folder: Path) -> StudyReport:
    """What is in a study's folder. Raises ConfigError where it is not finished, RunError."""
    result = read_study(folder)
    return report_of(folder, result, (folder / FILE).read_bytes())


def report_of(folder: Path, result: AnyStudy, document: bytes) -> StudyReport:
    """A result of the runs in a folder; `document` is its study.json. Raises RunError."""
    first = Cell(result.plan.arms[0], 0, 0).folder(folder) / "config.json"
    try:
        with fitting():
            plan: dict[str, Any] = read_json(folder / PLAN)
            run: dict[str, Any] = read_json(first)
            return StudyReport(
                name=folder.absolute().name,
                result=result,
                settings={key: named(key, value) for key, value in plan["settings"].items()},
                base_digest=str(run.get("base", {}).get("digest", "")),
                versions={str(k): str(v) for k, v in run.get("versions", {}).items() if v},
                result_digest=hashlib.sha256(document).hexdigest(),
                finding=str(run["config"].get("finding", "") or run.get("finding", "")),
            )
    except (OSError, DamagedFile) as error:
        raise RunError(
            f"{folder} cannot be read as a study ({said(error)}); its plan.json "
            f"and {first} must be as the study wrote them."
        ) from error


def named(key: str, value: Scalar) -> Scalar:
    """A setting's value; of a path (weights, a teacher's run) the last name.

    The page may go where its folders are nobody's business.
    """
    return PurePath(str(value)).name if key in ("weights", "teacher") else value
