"""From what a person names (files, folders, sites, a table) to images and their patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from client.predict.files import Refused, find_files
from client.predict.owners import Owner, is_site, is_table, owned_by_site, owned_by_table
from shared.errors import SiteError


@dataclass(frozen=True)
class Gathered:
    """The images to score, each once, and the patients of those that a table speaks of."""

    files: tuple[Path, ...]
    owners: Mapping[Path, Owner]
    refused: tuple[Refused, ...]
    """Images of a site or a table that has no patient for them."""
    rows_without_image: tuple[str, ...]
    tables: tuple[str, ...]
    """Which columns of which tables were used."""


def gather(named: Sequence[Path], patient: str | None, image: str | None) -> Gathered:
    """Find the images; a table is about all of them that are in no site's folder.

    `patient` and `image` are its columns, guessed where None. Raises SiteError for a name that
    nothing has, for a folder or a table that cannot be used, and where there is no image.
    """
    tables = [path for path in named if is_table(path)]
    sites = [path for path in named if is_site(path)]
    if len(tables) > 1:
        raise SiteError("Name one table; it says which patient each of the images is of.")
    if not tables and (patient or image):
        raise SiteError("--patient and --image are columns of a table, and no table is named.")
    rest = find_files([path for path in named if path not in (*tables, *sites)])
    owned = [owned_by_site(site) for site in dict.fromkeys(sites)]
    taken = {path for one in owned for path in (*one.owners, *one.refused)}
    rest = tuple(path for path in rest if path.absolute() not in taken)
    if tables and (rest or not sites):
        owned.append(owned_by_table(tables[0], rest, patient, image))
        rest = ()
    owners = {path: owner for one in owned for path, owner in one.owners.items()}
    refused = [Refused(path, why) for one in owned for path, why in one.refused.items()]
    if not owners and not refused and not rest:
        raise SiteError(
            f"There is no DICOM, PNG or JPEG image in {', '.join(map(str, named))}; name others."
        )
    rows = tuple(row for one in owned for row in one.rows_without_image)
    tables_used = tuple(one.how for one in owned)
    return Gathered((*owners, *rest), owners, tuple(refused), rows, tables_used)
