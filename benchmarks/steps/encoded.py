"""One image in each encoding that radiographs come in."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders.base import RLELosslessEncoder
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

_QUALITY: dict[str, Any] = {"quality": 95}
_COMPRESSED = {
    "JPEG lossless": JPEGLosslessSV1,
    "JPEG-LS": JPEGLSLossless,
    "JPEG 2000": JPEG2000Lossless,
    "RLE": RLELossless,
    "JPEG baseline": JPEGBaseline8Bit,
    "JPEG extended": JPEGExtended12Bit,
}
_OF_8_BITS = ("JPEG baseline", "JPEG extended", "PNG 8", "JPEG")
ENCODINGS = (
    "native",
    "deflated",
    *_COMPRESSED,
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
    elif encoding in _COMPRESSED:
        dataset.file_meta.TransferSyntaxUID = _COMPRESSED[encoding]
        dataset.PixelData = encapsulate([_frame(stored, encoding)])
        dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path, enforce_file_format=True)


def _frame(stored: NDArray[np.unsignedinteger], encoding: str) -> bytes:
    """The compressed stream of one picture."""
    match encoding:
        case "JPEG lossless":
            stream = imagecodecs.jpeg8_encode(stored, lossless=True, bitspersample=12, predictor=1)
        case "JPEG-LS":
            stream = imagecodecs.jpegls_encode(stored)
        case "JPEG 2000":
            stream = imagecodecs.jpeg2k_encode(
                stored, codecformat="j2k", reversible=True, level=0, bitspersample=12
            )
        case "RLE":
            rows, columns = stored.shape
            stream = RLELosslessEncoder.encode(
                stored, rows=rows, columns=columns, samples_per_pixel=1, number_of_frames=1,
                bits_allocated=16, bits_stored=12, pixel_representation=0,
                photometric_interpretation="MONOCHROME2",
            )  # fmt: skip
        case _:
            frame = BytesIO()
            Image.fromarray(stored).save(frame, "JPEG", **_QUALITY)
            stream = frame.getvalue()
            if encoding == "JPEG extended":  # of 8 bits, it differs in the frame's marker alone
                stream = stream.replace(b"\xff\xc0", b"\xff\xc1", 1)
    return bytes(stream)


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
