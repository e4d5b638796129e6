"""Which patient an image is of, by a site's table or by another that a person names."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from client.data.discover import find_images
from client.data.fates import SHARED
from client.data.identity import same_identifier
from client.data.image_file import ImageContent, ImageFile
from client.data.labels import read_labels
from client.data.listing import row_name
from client.data.matching import match_by_image
from client.data.patient_ids import read_patient_ids
from client.data.patient_matching import match_by_patient
from client.imaging.facts import ImageFacts
from client.imaging.subject import other_than_frontal_chest
from client.proposal.columns import column_named, read_columns
from client.proposal.images import FoundImages, find_image_folder
from client.proposal.roles import guess_image, guess_patient
from client.settings import SiteSettings, load_site
from client.site_file import FILE_NAME
from shared.outcome.binary import BINARY
from shared.outcome.encoding import Encoding

TABLES = frozenset({".csv", ".tsv", ".xlsx", ".xlsm"})


@dataclass(frozen=True)
class Owner:
    """The patient of an image, and the site that says so; `site` is empty for a bare table."""

    site: str
    patient: str = field(repr=False)
    known: frozenset[str] = field(repr=False)
    """All patients of the table, as `same_identifier` writes them."""
    frontal_chest_only: bool = False

    def notes_on(self, facts: ImageFacts) -> tuple[str, ...]:
        """A contradiction between the table and the image's Patient ID; the table counts."""
        identifier = facts.patient_id
        if identifier is None or same_identifier(identifier) == same_identifier(self.patient):
            return ()
        if same_identifier(identifier) not in self.known:
            return ()  # a pseudonym of the table's own
        return ("its Patient ID is another patient's of the table; the table counts",)

    def refusal_of(self, facts: ImageFacts) -> str | None:
        """Why the site's own rules leave the image out, as admission does."""
        others = tuple(other_than_frontal_chest(facts)) if self.frontal_chest_only else ()
        return "; ".join(others) or None


@dataclass(frozen=True)
class Owned:
    """Image -> its patient by a table; and images that it has no patient for, with the reason."""

    owners: Mapping[Path, Owner]
    refused: Mapping[Path, str]
    rows_without_image: tuple[str, ...] = field(default=(), repr=False)
    """Rows by line and patient, and why."""
    how: str = field(default="", repr=False)
    """Which columns of which table were used."""


def is_site(path: Path) -> bool:
    """Whether it is a site's folder."""
    return (path / FILE_NAME).is_file()


def is_table(path: Path) -> bool:
    """Whether its name is a table's."""
    return path.suffix.lower() in TABLES and path.is_file()


def owned_by_site(folder: Path) -> Owned:
    """The images of a site's folder; rows need no outcome. Raises SiteError as `load_site`."""
    settings = load_site(folder)
    files = find_images(settings.images)
    return _owned(settings, [path.relative_to(settings.images).as_posix() for path in files])


def owned_by_table(
    table: Path, images: Sequence[Path], patient: str | None, image: str | None
) -> Owned:
    """These images, or where there are none those beside the table, with the table's patients.

    Columns that are not named are guessed as `fedthaw site new` does. Raises SiteError where that
    cannot be done.
    """
    table = Path(os.path.abspath(table))
    if images:
        paths = [Path(os.path.abspath(path)) for path in images]
        folder = Path(os.path.commonpath([path.parent for path in paths]))
        files = tuple(path.relative_to(folder).as_posix() for path in paths)
        found = FoundImages(folder, files, "named")
    else:
        found = find_image_folder(table.parent, table, None)
    columns = read_columns(table)
    by_image = (
        guess_image(columns, table, found).column
        if image is None
        else column_named(columns, image, table)
    )
    if patient is None:
        identifiers = read_patient_ids(found.folder, found.files)
        owner = guess_patient(columns, by_image, table, found, identifiers).column
    else:
        owner = column_named(columns, patient, table)
    assert owner is not None
    settings = SiteSettings(
        folder=table.parent,
        name="",
        images=found.folder,
        labels=table,
        patient=owner.name,
        image=None if by_image is None else by_image.name,
        outcome=owner.name,  # none is needed
        encoding=Encoding(BINARY, ((), ())),
        covariate=None,
        cache=Path(os.devnull),  # nothing is kept
    )
    return _owned(settings, found.files)


def _owned(settings: SiteSettings, files: Sequence[str]) -> Owned:
    rows = read_labels(settings).rows
    if settings.image is None:
        identifiers = read_patient_ids(settings.images, files)
        named_files = [ImageFile(f, "", ImageContent(patient_id=identifiers.get(f))) for f in files]
        matching = match_by_patient(rows, named_files)
    else:
        matching = match_by_image(settings, rows, [ImageFile(f, "", ImageContent()) for f in files])
    known = frozenset(same_identifier(row.patient) for row in rows)
    owners: dict[Path, Owner] = {}
    refused: dict[Path, str] = {}
    for number, (file, numbers) in enumerate(zip(files, matching.rows, strict=True)):
        patients = {rows[row].patient for row in numbers}
        if len(patients) == 1:
            owners[settings.images / file] = Owner(
                settings.name, patients.pop(), known, settings.frontal_chest_only
            )
        else:
            why = SHARED if patients else matching.unmatched_files[number]
            refused[settings.images / file] = why
    missing = [
        f"{row_name(rows[row])}: {f'{reason}: {example}' if example else reason}"
        for row, (reason, example) in sorted(matching.unmatched_rows.items())
    ]
    several = (row for row in rows if row.image in matching.ambiguous_images)
    missing += [f"{row_name(row)}: several files of this name" for row in several]
    return Owned(owners, refused, tuple(missing), _how(settings))


def _how(settings: SiteSettings) -> str:
    image = (
        "Patient IDs, or names of files and folders, are matched"
        if settings.image is None
        else f"'{settings.image}' the images"
    )
    return f"{settings.labels}: the column '{settings.patient}' has the patients, {image}."
