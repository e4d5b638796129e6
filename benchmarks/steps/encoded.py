"""One picture in each encoding that radiographs come in."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    generate_uid,
)

_QUALITY: dict[str, Any] = {"quality": 95}
_BY_GDCM = {
    "JPEG lossless": gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    "JPEG-LS": gdcm.TransferSyntax.JPEGLSLossless,
    "JPEG 2000": gdcm.TransferSyntax.JPEG2000Lossless,
    "RLE": gdcm.TransferSyntax.RLELossless,
}
_OF_8_BITS = ("JPEG baseline", "JPEG extended", "PNG 8", "JPEG")
ENCODINGS = (
    "native",
    "deflated",
    *_BY_GDCM,
    "JPEG baseline",
    "JPEG extended",
    "PNG",
    "PNG 8",
    "JPEG",
)
"""DICOM but for the last three, which are files of their own."""


def write_encoded(path: Path, stored: NDArray[np.uint16], encoding: str) -> None:
    """Write 12-bit stored values, rows x columns, as one of `ENCODINGS`; some keep 8 bits."""
    if encoding in _OF_8_BITS:
        stored = (stored >> 4).astype(np.uint8)
    if encoding in ("PNG", "PNG 8", "JPEG"):
        Image.fromarray(stored).save(path, encoding.split(maxsplit=1)[0], **_QUALITY)
        return
    dataset = _dataset(stored)
    if encoding == "deflated":
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    elif encoding in ("JPEG baseline", "JPEG extended"):
        _put_jpeg(dataset, stored, encoding)
    dataset.save_as(path, enforce_file_format=True)
    if encoding in _BY_GDCM:
        _transcode(path, _BY_GDCM[encoding])


def _put_jpeg(dataset: Dataset, stored: NDArray[np.unsignedinteger], encoding: str) -> None:
    frame = BytesIO()
    Image.fromarray(stored).save(frame, "JPEG", **_QUALITY)
    data = frame.getvalue()
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    if encoding == "JPEG extended":  # of 8 bits, it differs in the frame's marker alone
        dataset.file_meta.TransferSyntaxUID = JPEGExtended12Bit
        data = data.replace(b"\xff\xc0", b"\xff\xc1", 1)
    dataset.PixelData = encapsulate([data])
    dataset["PixelData"].is_undefined_length = True


def _transcode(path: Path, syntax: int) -> None:
    """Encode a native DICOM file in place as one of GDCM's transfer syntaxes."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    if not reader.Read():
        raise ValueError(f"GDCM cannot read {path}.")
    change.SetInput(reader.GetImage())
    if not change.Change():
        raise ValueError(f"GDCM cannot encode {path} so.")
    writer = gdcm.ImageWriter()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(path))
    if not writer.Write():
        raise ValueError(f"GDCM cannot write {path}.")


def noisy_picture(rows: int, columns: int, seed: int) -> NDArray[np.uint16]:
    """A smooth picture of 12 bits with the noise of a detector."""
    down, right = np.linspace(0, 3, rows), np.linspace(0, 5, columns)
    smooth = 2000 + 1500 * np.outer(np.sin(down), np.cos(right))
    noise = np.random.default_rng(seed).normal(0, 8, smooth.shape)
    return np.clip(smooth + noise, 0, 4095).astype(np.uint16)


def _dataset(stored: NDArray[np.unsignedinteger]) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
    dataset.PatientID, dataset.Modality = "P1", "DX"
    bits = 8 if stored.dtype == np.uint8 else 12
    dataset.set_pixel_data(stored, "MONOCHROME2", bits, generate_instance_uid=False)
    return dataset
