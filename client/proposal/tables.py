"""Which file is the table of outcomes."""

from __future__ import annotations

import os
from pathlib import Path

from shared.errors import SiteError

# Those of other formats too: reading them says what they are and what to do.
_SUFFIXES = frozenset({".csv", ".tsv", ".txt", ".xlsx", ".xlsm", ".xls", ".xlsb", ".ods"})


def find_table(site: Path, named: Path | None) -> Path:
    """The table that is named, relative to here or to the site's folder; else the only one there.

    Raises SiteError where there is none, or several.
    """
    if named is not None:
        here = Path(os.path.abspath(os.path.expanduser(named)))
        inside = site / named
        return inside if not here.is_file() and inside.is_file() else here
    if not site.is_dir():
        raise SiteError(
            f"There is no folder {site}; name the site's folder, and the table (--from)."
        )
    found = sorted(
        path
        for path in site.iterdir()
        if path.suffix.lower() in _SUFFIXES and path.is_file() and path.name[0] not in ".~"
    )
    if len(found) == 1:
        return found[0]
    if not found:
        raise SiteError(
            f"There is no table in {site}; name the CSV or XLSX file that has each image's "
            "patient and outcome with --from. Where the images lie in a folder for each outcome, "
            "name the folder above these with --from-folders."
        )
    names = ", ".join(path.name for path in found[:10])
    raise SiteError(
        f"There are several tables in {site} ({names}); name the right one with --from."
    )
