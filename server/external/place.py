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
    name = "+".join(one.absolute().name for one in cohorts)
    name = re.sub(r"[^\w.+-]", "_", name)[:_LONGEST].strip(".") or "cohort"
    make_private_folder(place)
    number = 1
    while True:
        folder = place / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            number += 1
            continue
        if number > 1:
            emit(
                Warned(
                    f"{place / name} has an earlier result, which stays as it is; this one is "
                    f"written to {folder}."
                )
            )
        return folder


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
