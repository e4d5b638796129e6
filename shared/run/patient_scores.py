"""Patients' scores under a run's final model, in a file that stays with the owner of their folder.

A site writes it where its own machine asks for it (`evaluate`, `simulate`), never because a message
does, and the command that asked reads it there. It names patients.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from shared.errors import RunError
from shared.outcome.binary import BINARY
from shared.storage.files import write_private
from shared.storage.json_file import DamagedFile, read_json, said, typed

FOLDER, COLUMNS = "scores", "columns"
"""Keys of a node's own configuration: where to write, and which columns, joined by `SEPARATOR`."""
SEPARATOR = "\n"
SUFFIX = ".scores.json"


@dataclass(frozen=True, repr=False)
class PatientScore:
    """A patient: class (1 positive, 0 negative), mean probability of the images, and their number.

    Of an outcome with several scores, `truth` is the label of its kind, `scores` has the mean
    probabilities, and `score` is 0. `values` has what each column says of the patient's images,
    each different value once.
    """

    site: str
    patient: str
    truth: int
    score: float
    images: int
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    scores: tuple[float, ...] = ()

    def __repr__(self) -> str:
        """Without identifiers: a repr may end up in a log."""
        return "PatientScore()"


@dataclass(frozen=True, repr=False)
class ScoreFile:
    """The patients of one site that a model was evaluated on; `finding` is its outcome's column.

    `cohort` is "all", "validation" or "test"; `min_cell` the fewest patients of a class of whom the
    site lets others see anything.
    """

    site: str
    cohort: str
    finding: str
    min_cell: int
    patients: tuple[PatientScore, ...]
    outcome: str = BINARY.kind
    """As the setting of that name has it."""

    def __repr__(self) -> str:
        """Without identifiers: a repr may end up in a log."""
        return f"ScoreFile({self.site!r}, {self.cohort!r}, {len(self.patients)} patients)"


def write_scores(folder: Path, scores: ScoreFile) -> None:
    """Write the file into `folder` for this user alone, instead of an earlier one; OSError."""
    path = folder / f"{scores.site}-{scores.cohort}{SUFFIX}"
    write_private(path, json.dumps(asdict(scores)).encode())


def read_scores(folder: Path) -> tuple[ScoreFile, ...]:
    """All score files in a folder, by name; RunError where one cannot be read."""
    found = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            found.append(typed(read_json(path), ScoreFile))
        except (OSError, DamagedFile) as error:
            raise RunError(
                f"{path} cannot be read as patients' scores ({said(error)}); run the command again."
            ) from error
    return tuple(found)
