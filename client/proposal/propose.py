"""A site.toml proposed from a table and images: the guesses together, and what they give."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from client.data.patient_ids import read_patient_ids
from client.proposal.checks import checks_of
from client.proposal.classes import ALL_SITES, Classes, OneColumn, guess_classes
from client.proposal.columns import Column, column_named, read_columns
from client.proposal.found import Found, find
from client.proposal.given import given_classes
from client.proposal.images import FoundImages, find_image_folder
from client.proposal.label_values import labels_of
from client.proposal.labels import Labels, named_labels, require_apart
from client.proposal.roles import Guess, guess_image, guess_outcome, guess_patient
from client.settings import SiteSettings
from shared.deployment.names import SITE_NAME_RULE, is_site_name
from shared.errors import SiteError
from shared.metrics.grades import MOST_LEVELS

_SAMPLE = 200
"""Headers that are read to see which column has their Patient IDs."""
_NUMBER = re.compile(r"\d{1,3}([.,]\d)?")


@dataclass(frozen=True)
class Choices:
    """What the owner has decided; None and empty leave it to a guess."""

    name: str | None = None
    images: Path | None = None
    image: str | None = None
    by_patient: bool = False
    """Match patients, no image names, although a column may have them."""
    patient: str | None = None
    outcome: str | None = None
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    covariate: str | None = None
    classes: str = ""
    ordinal: bool | None = None
    labels: str = ""


@dataclass(frozen=True)
class Proposal:
    """The settings, the reason for each (`why`, by its key), and what to look at."""

    settings: SiteSettings = field(repr=False)
    why: dict[str, str]
    outcome: OneColumn | Labels
    unused: tuple[Column, ...]
    checks: tuple[str, ...]
    found: Found


@dataclass(frozen=True)
class _Guesses:
    images: FoundImages
    identifiers: Mapping[str, str | None]
    """Patient IDs of DICOM files; of some of them where a column names the images."""
    image: Guess
    patient: Guess
    outcome: OneColumn | Labels
    covariate: Column | None

    @property
    def patient_column(self) -> Column:
        assert self.patient.column is not None
        return self.patient.column


def propose(site: Path, table: Path, choices: Choices) -> Proposal:
    """Guess what `choices` leaves open.

    `site` need not exist. Raises SiteError where something cannot be guessed, saying which option
    decides it, and for a table or a folder that cannot be read.
    """
    if not table.is_file():
        raise SiteError(f"There is no table {table}; name a CSV or XLSX file with --from.")
    _require_labels_alone(choices)
    name, name_why = _site_name(site, choices.name)
    columns = read_columns(table)
    guessed = _guess(site, table, columns, choices)
    settings = _settings(site, table, name, guessed)
    found = find(settings, guessed.images.files, guessed.identifiers)
    used = {settings.patient, settings.image, settings.covariate, *settings.outcome_columns}
    return Proposal(
        settings=settings,
        why={"name": name_why, **_why(guessed)},
        outcome=guessed.outcome,
        unused=tuple(column for column in columns if column.name not in used),
        checks=tuple(
            checks_of(guessed.outcome, guessed.image.column, guessed.patient_column, found)
        ),
        found=found,
    )


def _why(guessed: _Guesses) -> dict[str, str]:
    """The reasons by the keys of site.toml; the table is `labels` but for several labels."""
    outcome = guessed.outcome
    common = {
        "images": guessed.images.why,
        "patient": guessed.patient.why,
        "image": guessed.image.why,
        "covariate": "as --covariate says",
    }
    if isinstance(outcome, Labels):
        return {**common, "table": "holds the columns", "labels": "as --labels says"}
    values = dict.fromkeys(("positive", "negative", "classes"), outcome.classes.why)
    return {**common, "labels": "holds the columns", "outcome": outcome.why, **values}


def may_be_grade(column: Column) -> bool:
    """Whether its cells are numbers of a few levels, as those of a clinical grade."""
    numbers = [value for value in column.values if _NUMBER.fullmatch(value)]
    return 2 <= len(numbers) <= MOST_LEVELS and len(numbers) == len(column.values)


def _guess(site: Path, table: Path, columns: Sequence[Column], choices: Choices) -> _Guesses:
    fixed = {
        key: None if wanted is None else column_named(columns, wanted, table)
        for key, wanted in (
            ("outcome", choices.outcome),
            ("patient", choices.patient),
            ("covariate", choices.covariate),
        )
    }
    labels = named_labels(columns, choices.labels, table) if choices.labels else {}
    images = find_image_folder(site, table, choices.images)
    image = _guess_image(columns, table, images, choices)
    patient = fixed["patient"]
    require_apart(labels, image.column, patient)
    by_outcome = (
        Guess(None, "as --labels says")
        if labels
        else _guess_outcome(columns, (image.column, patient), fixed["outcome"])
    )
    step = 1 if image.column is None else -(-len(images.files) // _SAMPLE)
    identifiers = read_patient_ids(images.folder, images.files[::step])
    if patient is None:
        of_outcome = (*labels.values(), by_outcome.column)
        rest = [column for column in columns if not any(column is one for one in of_outcome)]
        by_patient = guess_patient(rest, image.column, table, images, identifiers)
    else:
        by_patient = Guess(patient, "as --patient says")
    outcome = _outcome(by_outcome, labels, choices)
    return _Guesses(images, identifiers, image, by_patient, outcome, fixed["covariate"])


def _guess_outcome(
    columns: Sequence[Column], taken: Collection[Column | None], named: Column | None
) -> Guess:
    if named is not None:
        return Guess(named, "as --outcome says")
    return guess_outcome([column for column in columns if column not in taken])


def _outcome(
    by_outcome: Guess, labels: Mapping[str, Column], choices: Choices
) -> OneColumn | Labels:
    if by_outcome.column is None:
        return labels_of(labels, choices.positive, choices.negative)
    classes = _classes(by_outcome.column, choices)
    return OneColumn(by_outcome.column, by_outcome.why, classes)


def _require_labels_alone(choices: Choices) -> None:
    of_one_column = {
        "--outcome": choices.outcome,
        "--classes": choices.classes,
        "--covariate": choices.covariate,
        "--ordinal": choices.ordinal,
        "--no-ordinal": choices.ordinal is False,
    }
    given = [option for option, value in of_one_column.items() if value]
    if choices.labels and given:
        raise SiteError(
            f"--labels and {' and '.join(given)} do not go together: each label has a column of "
            "its own and no order, and a clinical grade is compared with a single finding. Leave "
            "out one or the other."
        )


def _classes(column: Column, choices: Choices) -> Classes:
    if choices.classes:
        if choices.positive or choices.negative:
            raise SiteError("Give either --classes, or --positive and --negative.")
        return given_classes(column, choices.classes, ordinal=choices.ordinal)
    found = guess_classes(column, choices.positive, choices.negative)
    if choices.ordinal is None:
        return found
    if not found.several:
        raise SiteError(
            "--ordinal is of several classes, and here are positive and negative; name the classes "
            "with --classes 'A | B | C'."
        )
    return replace(found, ordinal=choices.ordinal, check=ALL_SITES)


def _guess_image(
    columns: Sequence[Column], table: Path, images: FoundImages, choices: Choices
) -> Guess:
    if choices.by_patient:
        if choices.image is not None:
            raise SiteError("Give either --image or --no-image.")
        return Guess(None, "as --no-image says")
    if choices.image is not None:
        return Guess(column_named(columns, choices.image, table), "as --image says")
    return guess_image(columns, table, images)


def _settings(site: Path, table: Path, name: str, guessed: _Guesses) -> SiteSettings:
    outcome = guessed.outcome
    return SiteSettings(
        folder=site,
        name=name,
        images=guessed.images.folder,
        labels=table,
        patient=guessed.patient_column.name,
        image=None if guessed.image.column is None else guessed.image.column.name,
        outcome="" if isinstance(outcome, Labels) else outcome.column.name,
        encoding=outcome.encoding,
        covariate=None if guessed.covariate is None else guessed.covariate.name,
        cache=Path(os.devnull),  # nothing is kept
    )


def _site_name(site: Path, wanted: str | None) -> tuple[str, str]:
    if wanted is not None:
        if not is_site_name(wanted):
            raise SiteError(f"--name is {wanted!r}; it must be {SITE_NAME_RULE}.")
        return wanted, "as --name says"
    plain = unicodedata.normalize("NFKD", site.name).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", plain).strip("-._")[:64]
    return (name, "the folder's name") if is_site_name(name) else ("site", "the folder has no name")
