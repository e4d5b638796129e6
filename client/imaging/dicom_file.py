"""The elements of a DICOM file, also of one that is written otherwise than PS3.10 wants."""

from __future__ import annotations

from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from client.imaging.deflated import read_if_deflated
from client.imaging.dicom_header import is_missing, text
from shared.errors import ImageRejected

_PIXEL_DATA = 0x7FE00010


def read_dataset(path: Path, *, stop_before_pixels: bool) -> Dataset:
    """All elements of a DICOM file, or those before its pixels; what is understood is corrected.

    Raises ImageRejected, for what is no DICOM file too.
    """
    try:
        dataset = read_if_deflated(path, stop_before_pixels=stop_before_pixels)
        if dataset is None:
            dataset = _header(path) if stop_before_pixels else _all_elements(path)
        if dataset is None:
            dataset = _up_to_pixels(path)
    except ImageRejected:
        raise
    except OSError as error:
        raise ImageRejected("file cannot be read") from error
    except Exception as error:
        raise ImageRejected("unreadable or truncated DICOM file") from error
    if "SOPClassUID" not in dataset and "Rows" not in dataset:
        raise ImageRejected("not a DICOM file")
    if not dataset.file_meta.get("TransferSyntaxUID"):
        # Without the meta information of PS3.10 7.1 there is only the encoding that was found.
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    try:
        _normalise(dataset)
    except Exception as error:
        raise ImageRejected("unreadable DICOM header") from error
    return dataset


def _header(path: Path) -> Dataset:
    return dcmread(path, stop_before_pixels=True, force=True)


def _all_elements(path: Path) -> Dataset | None:
    """The dataset, or None where pydicom loses all of it over what follows the pixels.

    Blocks of a disk or an archive leave bytes there that are no elements.
    """
    try:
        dataset = dcmread(path, force=True)
    except OSError:
        raise
    except Exception:
        return None
    return dataset if "PixelData" in dataset else None


def _up_to_pixels(path: Path) -> Dataset:
    seen = False

    def is_behind(tag: BaseTag, vr: str | None, length: int) -> bool:
        nonlocal seen
        behind, seen = seen, seen or tag == _PIXEL_DATA
        return behind

    with path.open("rb") as file:
        return read_partial(file, stop_when=is_behind, force=True)


def _normalise(dataset: Dataset) -> None:
    """Correct what is understood although PS3.5 and PS3.3 C.7.6.3 want it otherwise.

    pydicom removes trailing spaces only; leading ones mean nothing in a CS either (PS3.5 6.2).
    """
    photometric = text(dataset, "PhotometricInterpretation")
    if photometric:
        dataset.PhotometricInterpretation = photometric.upper()
    if is_missing(dataset, "SamplesPerPixel"):
        dataset.SamplesPerPixel = 1
