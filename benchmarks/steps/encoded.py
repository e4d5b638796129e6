"""One picture in each encoding that radiographs come in."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import gdcm
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

_SYNTAXES = {
    "JPEG lossless": gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    "JPEG-LS": gdcm.TransferSyntax.JPEGLSLossless,
    "JPEG 2000": gdcm.TransferSyntax.JPEG2000Lossless,
    "RLE": gdcm.TransferSyntax.RLELossless,
}
ENCODINGS = ("native", "JPEG lossless", "JPEG 2000", "PNG")


def write_encoded(path: Path, stored: NDArray[np.uint16], encoding: str) -> None:
    """Write 12-bit stored values, rows x columns, as one of `ENCODINGS`, or JPEG-LS or RLE."""
    if encoding == "PNG":
        Image.fromarray(stored).save(path, "PNG")
        return
    native = BytesIO()
    _dataset(stored).save_as(native, enforce_file_format=True)
    path.write_bytes(native.getvalue())
    if encoding != "native":
        transcode(path, _SYNTAXES[encoding])


def transcode(path: Path, syntax: int) -> None:
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


def _dataset(stored: NDArray[np.uint16]) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
    dataset.PatientID, dataset.Modality = "P1", "DX"
    dataset.set_pixel_data(stored, "MONOCHROME2", 12, generate_instance_uid=False)
    return dataset
