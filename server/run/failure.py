"""Why a run stopped, for the command that waits for it in another process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from shared.errors import FedThawError
from shared.storage.files import make_private_folder, write_text_atomically
from shared.storage.json_file import DamagedFile, read_json, typed

FILE = "failure.json"


@dataclass(frozen=True)
class Failure:
    """The sentence for the person who can act, and the exit code."""

    sentence: str
    exit_code: int


class _Document(TypedDict):
    error: str
    exit_code: int


def write_failure(folder: Path, error: FedThawError) -> None:
    """Leave the error in the run's folder; a folder that cannot be written loses nothing else."""
    try:
        make_private_folder(folder)
        document = {"error": str(error), "exit_code": error.exit_code}
        write_text_atomically(folder / FILE, json.dumps(document) + "\n")
    except OSError:
        return


def read_failure(folder: Path) -> Failure | None:
    """The error that ended the run last, None where it did not end with one."""
    try:
        document = typed(read_json(folder / FILE), _Document)
        return Failure(document["error"], document["exit_code"])
    except (OSError, DamagedFile):
        return None


def clear_failure(folder: Path) -> None:
    """Forget the error of an earlier attempt."""
    (folder / FILE).unlink(missing_ok=True)
