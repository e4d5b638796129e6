"""Where an evaluation is written: never over an earlier one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from shared.errors import ConfigError, RunError
from shared.run.events import Warned, emit
from shared.storage.files import make_private_folder, write_private

PLACE = "external"
"""In a run's folder, the one that its evaluations lie in."""
_LONGEST = 60


@contextmanager
def place_for(run: Path, cohorts: Sequence[Path], out: Path | None) -> Iterator[Path]:
    """The folder to write to, made for its owner alone and empty; gone if nothing is written.

    By default `external/NAME` in the run's folder, after the cohorts' folders, with a number where
    that is taken, which is said. ConfigError where `out` holds something, or no folder can be made.
    """
    try:
        folder = _default(run / PLACE, cohorts) if out is None else _given(out)
    except OSError as error:
        raise ConfigError(
            f"No folder for the results can be made in {out or run} ({error.strerror}); name "
            f"{'another' if out else 'one'} with --out."
        ) from error
    try:
        yield folder
        if out is None and folder.name != (taken := _name_of(cohorts)):
            emit(
                Warned(
                    f"{folder.parent / taken} has an earlier result, which stays as it is; this "
                    f"one was written to {folder}."
                )
            )
    finally:
        for path in (folder, *((folder.parent,) if out is None else ())):
            with suppress(OSError):  # where there is something in it
                path.rmdir()


def _given(out: Path) -> Path:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(
            f"{out} exists and is not empty, and no result is overwritten; name another folder "
            "with --out, or remove it."
        )
    make_private_folder(out)
    return out


def _default(place: Path, cohorts: Sequence[Path]) -> Path:
    name = _name_of(cohorts)
    make_private_folder(place)
    folder, number = place / name, 1
    while True:
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            number += 1
            folder = place / f"{name}-{number}"
        else:
            return folder


def _name_of(cohorts: Sequence[Path]) -> str:
    name = "+".join(one.absolute().name for one in cohorts)
    return re.sub(r"[^\w.+-]", "_", name)[:_LONGEST].strip(".") or "cohort"


def write_documents(folder: Path, documents: Mapping[str, str]) -> None:
    """Write the files for their owner alone, each complete or absent; RunError otherwise."""
    for name, text in documents.items():
        try:
            write_private(folder / name, text.encode("utf-8", "backslashreplace"))
        except OSError as error:
            raise RunError(
                f"{folder / name} cannot be written ({error.strerror}); make room there, or name "
                "another folder with --out."
            ) from error
