"""Patients' scores for the owner of their folder, where a command on this machine asks for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from client.data.cohort import Radiograph
from client.data.labels import read_columns
from client.declared_outcome import named_finding
from client.imaging.facts import ImageFacts
from client.part import Part
from client.scores import KeptScore, is_scores_file, load_scores, scores_file
from client.settings import SiteSettings, load_site
from shared.protocol.evaluate import Scope
from shared.run.patient_scores import (
    COLUMNS,
    FOLDER,
    SEPARATOR,
    PatientScore,
    ScoreFile,
    write_scores,
)

OF_HEADER: Mapping[str, Callable[[ImageFacts], str | None]] = {
    "view": lambda facts: facts.view,
    "device": lambda facts: facts.device,
    "modality": lambda facts: facts.modality,
}
"""What the DICOM header says, for a column of that name that the table does not have."""


@dataclass(frozen=True)
class ScoresWanted:
    """The folder to write the scores into, and the columns that are wanted with them."""

    folder: Path
    columns: tuple[str, ...] = ()


def kept_scores(folder: Path, run: str) -> tuple[ScoreFile, ...]:
    """The scores that the site in this folder kept of a run's final model; there may be none."""
    settings = load_site(folder)
    kept = settings.cache / "rounds" / run / settings.name
    found = []
    for cohort in get_args(Scope):
        scores = load_scores(scores_file(kept, cohort))
        if scores and all(score.score is not None or score.scores for score in scores):
            patients = tuple(_patient(score, {}) for score in scores)
            found.append(score_file(settings, cohort, patients))
    return tuple(found)


def kept_runs(folder: Path) -> tuple[str, ...]:
    """The runs of which this site has kept scores, by the time they were kept."""
    settings = load_site(folder)
    kept = (settings.cache / "rounds").glob(f"*/{settings.name}/*")
    files = [path for path in kept if is_scores_file(path)]
    times = {path.parent.parent.name: path.stat().st_mtime for path in files}
    return tuple(sorted(times, key=lambda run: (times[run], run)))


def scores_wanted(node_config: Mapping[str, object]) -> ScoresWanted | None:
    """What this node's own configuration asks for; of a deployed site never anything."""
    folder, columns = node_config.get(FOLDER), node_config.get(COLUMNS)
    if node_config.get("deployed") or not isinstance(folder, str):
        return None
    named = columns.split(SEPARATOR) if isinstance(columns, str) and columns else []
    return ScoresWanted(Path(folder), tuple(named))


def look_at(folder: Path, columns: Sequence[str]) -> tuple[str, dict[str, set[str]]]:
    """The site's name, and each column's values in its table.

    SiteError for its settings, and for a column that neither the table nor a DICOM header has.
    """
    settings = load_site(folder)
    found = read_columns(settings, columns, OF_HEADER)
    return settings.name, {column: set(lines.values()) for column, lines in found.items()}


def write_own_scores(
    wanted: ScoresWanted, parts: Sequence[Part], scores: Sequence[KeptScore]
) -> None:
    """Write a file for each owner's patients. Raises OSError."""
    for part in parts:
        own = [score for score in scores if score.site == part.settings.name]
        values = _values(part, wanted.columns)
        patients = tuple(_patient(score, values.get(score.patient, {})) for score in own)
        write_scores(wanted.folder, score_file(part.settings, "all", patients))


def _patient(kept: KeptScore, values: Mapping[str, tuple[str, ...]]) -> PatientScore:
    return PatientScore(
        kept.site, kept.patient, kept.label, kept.score or 0.0, kept.images, values, kept.scores
    )


def score_file(
    settings: SiteSettings, cohort: str, patients: tuple[PatientScore, ...]
) -> ScoreFile:
    """The file of a site with these settings."""
    finding = named_finding(settings) or settings.outcome
    outcome = str(settings.encoding.outcome)
    return ScoreFile(settings.name, cohort, finding, settings.min_cell, patients, outcome)


def _values(part: Part, columns: Sequence[str]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Patient -> column -> what it says of the patient's admitted images, each value once."""
    if not columns:
        return {}
    table = read_columns(part.settings, columns, OF_HEADER)
    found: dict[str, dict[str, dict[str, None]]] = defaultdict(lambda: defaultdict(dict))
    for radiograph in part.admission.cohort.radiographs:
        for column in columns:
            said = _of_image(part, radiograph, column, table.get(column))
            found[radiograph.patient][column].update(dict.fromkeys(said))
    return {
        patient: {column: tuple(values) for column, values in by_column.items()}
        for patient, by_column in found.items()
    }


def _of_image(
    part: Part, radiograph: Radiograph, column: str, lines: Mapping[int, str] | None
) -> Iterator[str]:
    if lines is not None:
        yield from (lines.get(line, "") for line in radiograph.lines)
        return
    facts = part.cache.facts(radiograph.digest)
    yield (facts and OF_HEADER[column](facts)) or ""
