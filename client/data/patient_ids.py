"""The Patient IDs of DICOM files, without their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from client.imaging.decoders import Decoders
from client.imaging.format import image_format
from client.imaging.limits import MAXIMUM_PIXELS, helper_count


def read_patient_ids(folder: Path, files: Sequence[str]) -> dict[str, str | None]:
    """File -> its DICOM Patient ID, None where it has none; other formats are left out.

    `files` are relative to `folder`. Headers are read in helper processes, as all bytes of images.
    """
    dicom = [file for file in files if _is_dicom(folder / file)]
    if not dicom:
        return {}
    with Decoders() as decoders, ThreadPoolExecutor(helper_count(MAXIMUM_PIXELS)) as pool:
        found = pool.map(lambda file: decoders.patient_id(folder / file), dicom)
        return dict(zip(dicom, found, strict=True))


def _is_dicom(path: Path) -> bool:
    try:
        return image_format(path) == "DICOM"
    except OSError:
        return False
