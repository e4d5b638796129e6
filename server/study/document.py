"""study.json: a study's result as a file, written and read back."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from server.results.study import AnyStudy, ClassStudyResult, StudyResult
from shared.errors import ConfigError, RunError
from shared.storage.json_file import DamagedFile, read_json, said, typed

FILE, PLAN = "study.json", "plan.json"


def is_study(folder: Path) -> bool:
    """Whether a folder is a study's, finished or not."""
    return (folder / PLAN).is_file()


def to_json(result: AnyStudy) -> str:
    """The file's text."""
    return json.dumps(asdict(result), indent=1) + "\n"


def read_study(folder: Path) -> AnyStudy:
    """The result of a finished study.

    Raises ConfigError where there is none, RunError where the file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        if not is_study(folder):
            raise ConfigError(
                f"{folder} is not a study's folder: it has no {PLAN}. Name the folder that a "
                "study was given with --out."
            )
        raise ConfigError(
            f"{folder} holds a study that is not finished; rerun its `fedthaw study` command, "
            "which continues it and writes its report."
        )
    try:
        document = read_json(path)
        several = isinstance(document, dict) and "outcome" in document
        return typed(document, ClassStudyResult) if several else typed(document, StudyResult)
    except (OSError, DamagedFile) as error:
        raise RunError(
            f"{path} cannot be read as a study's result ({said(error)}); rerun "
            "its `fedthaw study` command, which writes it again from the runs."
        ) from error
