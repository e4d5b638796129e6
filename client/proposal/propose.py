"""A site.toml proposed from a table and images: the guesses together, and what they give."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from client.data.patient_ids import read_patient_ids
from client.proposal.classes import ALL_SITES, Classes, guess_classes
from client.proposal.columns import Column, column_named, read_columns
from client.proposal.found import Found, find
from client.proposal.given import given_classes
from client.proposal.images import FoundImages, find_image_folder
from client.proposal.roles import Guess, guess_image, guess_outcome, guess_patient
from client.proposal.words import EXAMINATION_NAME, plain
from client.settings import SiteSettings
from shared.deployment.names import SITE_NAME_RULE, is_site_name
from shared.errors import SiteError
from shared.metrics.grades import MOST_LEVELS

_SAMPLE = 200
"""Headers that are read to see which column has their Patient IDs."""
_FEWEST = 2
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


@dataclass(frozen=True)
class Proposal:
    """The settings, the reason for each (`why`, by its key), and what to look at."""

    settings: SiteSettings = field(repr=False)
    why: dict[str, str]
    outcome: Column
    classes: Classes
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
    outcome: Guess
    classes: Classes
    covariate: Column | None


def propose(site: Path, table: Path, choices: Choices) -> Proposal:
    """Guess what `choices` leaves open.

    `site` need not exist. Raises SiteError where something cannot be guessed, saying which option
    decides it, and for a table or a folder that cannot be read.
    """
    if not table.is_file():
        raise SiteError(f"There is no table {table}; name a CSV or XLSX file with --from.")
    name, name_why = _site_name(site, choices.name)
    columns = read_columns(table)
    guessed = _guess(site, table, columns, choices)
    settings = _settings(site, table, name, guessed)
    found = find(settings, guessed.images.files, guessed.identifiers)
    used = (settings.patient, settings.image, settings.outcome, settings.covariate)
    assert guessed.outcome.column is not None
    return Proposal(
        settings=settings,
        why={
            "name": name_why,
            "images": guessed.images.why,
            "labels": "holds the columns",
            "patient": guessed.patient.why,
            "image": guessed.image.why,
            "outcome": guessed.outcome.why,
            "positive": guessed.classes.why,
            "negative": guessed.classes.why,
            "classes": guessed.classes.why,
            "covariate": "as --covariate says",
        },
        outcome=guessed.outcome.column,
        classes=guessed.classes,
        unused=tuple(column for column in columns if column.name not in used),
        checks=tuple(_checks(guessed, found)),
        found=found,
    )


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
    images = find_image_folder(site, table, choices.images)
    image = _guess_image(columns, table, images, choices)
    outcome, patient = fixed["outcome"], fixed["patient"]
    taken = (image.column, patient)
    by_outcome = (
        guess_outcome([column for column in columns if column not in taken])
        if outcome is None
        else Guess(outcome, "as --outcome says")
    )
    assert by_outcome.column is not None
    step = 1 if image.column is None else -(-len(images.files) // _SAMPLE)
    identifiers = read_patient_ids(images.folder, images.files[::step])
    if patient is None:
        rest = [column for column in columns if column is not by_outcome.column]
        by_patient = guess_patient(rest, image.column, table, images, identifiers)
    else:
        by_patient = Guess(patient, "as --patient says")
    classes = _classes(by_outcome.column, choices)
    return _Guesses(images, identifiers, image, by_patient, by_outcome, classes, fixed["covariate"])


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
    assert guessed.patient.column is not None
    assert guessed.outcome.column is not None
    return SiteSettings(
        folder=site,
        name=name,
        images=guessed.images.folder,
        labels=table,
        patient=guessed.patient.column.name,
        image=None if guessed.image.column is None else guessed.image.column.name,
        outcome=guessed.outcome.column.name,
        encoding=guessed.classes.encoding,
        covariate=None if guessed.covariate is None else guessed.covariate.name,
        cache=Path(os.devnull),  # nothing is kept
    )


def _checks(guessed: _Guesses, found: Found) -> Iterator[str]:
    """What its owner should look at before anything is trained."""
    if guessed.classes.check:
        yield f"{guessed.classes.check[0].upper()}{guessed.classes.check[1:]}."
    if guessed.image.column is not None and guessed.patient.column is guessed.image.column:
        yield (
            "No column names patients, so each image counts as a patient of its own. If a patient "
            "has several images, add a column with the patient: otherwise training and validation "
            "share patients."
        )
    elif EXAMINATION_NAME.search(
        plain(guessed.patient.column.name if guessed.patient.column else "")
    ):
        yield (
            "The patient column may name examinations; if a patient has several, choose the "
            "patients' column with --patient: otherwise training and validation share patients."
        )
    several = bool(guessed.classes.several)
    no_list, which = ("no class", "different") if several else ("neither list", "both")
    for number, text in (
        (found.excluded, f"row(s) have an outcome in {no_list}, or none; they are excluded"),
        (found.contradictory, f"patient(s) have rows of {which} classes; they are excluded"),
        (found.bad_rows, "row(s) cannot be used (no patient, or damaged)"),
        (found.rows_without_image, "row(s) have no image"),
        (
            found.nearly_matched,
            "of these have one but for leading zeros, a final .0 or letter case in the patient; "
            "write patients as the images have them, as text",
        ),
        (found.files_without_row, "image(s) have no row"),
    ):
        if number:
            yield f"{number} {text}."
    for word, patients, _ in found.patients:
        if patients < _FEWEST and not several:
            yield f"{patients} {word} patient(s): training and validation need {_FEWEST} at least."


def _site_name(site: Path, wanted: str | None) -> tuple[str, str]:
    if wanted is not None:
        if not is_site_name(wanted):
            raise SiteError(f"--name is {wanted!r}; it must be {SITE_NAME_RULE}.")
        return wanted, "as --name says"
    plain = unicodedata.normalize("NFKD", site.name).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", plain).strip("-._")[:64]
    return (name, "the folder's name") if is_site_name(name) else ("site", "the folder has no name")
