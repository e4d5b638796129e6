"""Hand-made files for the tests of the data path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)

from client.settings import SiteSettings, load_site

SITE = """
[site]
name = "north"
[data]
images = "images"
labels = "labels.csv"
patient = "patient"
outcome = "grade"
positive = ["severe"]
negative = ["none"]
{data}
[compute]
cache = "cache"
{more}
"""


def make_dicom(stored: NDArray[np.integer], bits: int = 12, **attributes: Any) -> Dataset:
    """A single-frame DX dataset; an attribute of None is left out."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
    dataset.PatientID = "SECRET-7"
    dataset.PatientName = "Doe^Jane"
    dataset.Modality = "DX"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated = 8 if bits == 8 else 16
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.PixelRepresentation = int(stored.min() < 0)
    kind = "i" if dataset.PixelRepresentation else "u"
    dataset.PixelData = stored.astype(f"<{kind}{dataset.BitsAllocated // 8}").tobytes()
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
    for keyword, value in attributes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def ramp(rows: int = 40, columns: int = 48, maximum: int = 4095, seed: int = 0) -> NDArray[Any]:
    """Differing values of 0 to `maximum` over the image, another order for each seed."""
    values = np.linspace(0, maximum, rows * columns).round().astype(np.int64)
    shuffled: NDArray[Any] = np.random.default_rng(seed).permutation(values)
    return shuffled.reshape(rows, columns)


@pytest.fixture
def write_dicom(tmp_path: Path) -> Callable[..., Path]:
    """Write `make_dicom` to a file of tmp_path and give its path."""

    def write(stored: NDArray[np.integer], bits: int = 12, /, **attributes: Any) -> Path:
        name = attributes.pop("name", "image.dcm")
        path = tmp_path / str(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        make_dicom(stored, bits, **attributes).save_as(path, enforce_file_format=True)
        return path

    return write


@pytest.fixture(name="ramp")
def _ramp() -> Callable[..., NDArray[Any]]:
    return ramp


@pytest.fixture
def write_png() -> Callable[[Path, int], Path]:
    """Write an 8-bit PNG whose pixels depend on the seed."""

    def write(path: Path, seed: int) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(ramp(maximum=255, seed=seed).astype(np.uint8)).save(path)
        return path

    return write


@pytest.fixture
def fill(tmp_path: Path, write_png: Callable[[Path, int], Path]) -> Callable[..., None]:
    """Write differing PNG files of these names into the images folder."""

    def write(*names: str) -> None:
        for seed, name in enumerate(names):
            write_png(tmp_path / "images" / name, seed)

    return write


@pytest.fixture
def make_site(tmp_path: Path) -> Callable[..., SiteSettings]:
    """A site folder with this table and these further lines of site.toml, loaded."""

    def make(table: str, data: str = 'image = "file"', more: str = "") -> SiteSettings:
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "labels.csv").write_text(table, encoding="utf-8")
        (tmp_path / "site.toml").write_text(SITE.format(data=data, more=more), encoding="utf-8")
        return load_site(tmp_path)

    return make
