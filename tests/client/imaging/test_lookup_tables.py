from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian

from client.imaging.dicom import read_dicom
from shared.errors import ImageRejected

Write = Callable[..., Path]


Ramp = Callable[..., NDArray[Any]]


def reason_of(path: Path) -> str:
    with pytest.raises(ImageRejected) as caught:
        read_dicom(path)
    return caught.value.reason


def linear(x: NDArray[Any], center: float, width: float) -> NDArray[Any]:
    """The pseudo-code of PS3.3 C.11.2.1.2.1 with the output range 0 to 1."""
    inside = (x - (center - 0.5)) / (width - 1) + 0.5
    low = x <= center - 0.5 - (width - 1) / 2
    high = x > center - 0.5 + (width - 1) / 2
    return np.where(low, 0.0, np.where(high, 1.0, inside))


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("entry_bits", [8, 10, 12, 16])
@pytest.mark.parametrize("window", [False, True])
def test_voi_lut_goes_before_the_window_and_scales_by_its_own_bits(
    write_dicom: Write, ramp: Ramp, photometric: str, entry_bits: int, window: bool
) -> None:
    # More entries than 8 bits can count, and stored values on both sides of the table.
    first, count = 100, 3000
    top = 2**entry_bits - 1
    entries = np.linspace(0, np.sqrt(top), count) ** 2
    table = entries.round().astype(np.uint16)
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [count, first, entry_bits])
    item.add_new("LUTData", "OW", table.astype("<u2").tobytes())
    attributes: dict[str, Any] = {"VOILUTSequence": [item]}
    if window:
        attributes |= {"WindowCenter": 50, "WindowWidth": 10}
    stored = ramp()
    expected = table[np.clip(stored - first, 0, count - 1)] / top
    if photometric == "MONOCHROME1":
        expected = 1 - expected

    path = write_dicom(stored, 12, PhotometricInterpretation=photometric, **attributes)

    np.testing.assert_allclose(read_dicom(path).pixels, expected, atol=2e-7)


def test_voi_lut_takes_rescaled_values_and_a_signed_first_value(
    write_dicom: Write, ramp: Ramp
) -> None:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4096, 2**16 - 1024, 12])  # -1024 written as US
    item.add_new("LUTData", "US", list(range(4095, -1, -1)))
    stored = ramp()
    path = write_dicom(stored, 12, RescaleSlope=1, RescaleIntercept=-1024, VOILUTSequence=[item])
    np.testing.assert_allclose(read_dicom(path).pixels, (4095 - stored) / 4095, atol=2e-7)


@pytest.mark.parametrize("packed", [False, True])
def test_modality_lut_goes_before_the_window(write_dicom: Write, ramp: Ramp, packed: bool) -> None:
    table = (np.arange(256) ** 2 // 255).astype(np.uint8)
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [256, 0, 8])
    data = table.tobytes() if packed else table.astype("<u2").tobytes()
    item.add_new("LUTData", "OW", data)
    item.ModalityLUTType = "OD"
    stored = ramp(maximum=255)
    path = write_dicom(stored, 8, ModalityLUTSequence=[item], WindowCenter=100, WindowWidth=120)
    expected = linear(table[stored].astype(np.float64), 100, 120)
    np.testing.assert_allclose(read_dicom(path).pixels, expected, atol=2e-7)


def test_packed_entries_are_words_in_a_big_endian_file(write_dicom: Write, ramp: Ramp) -> None:
    """PS3.5 8.1.1: OW swaps its bytes with the byte order, whatever they hold."""
    table = (np.arange(256) ** 2 // 255).astype(np.uint8)
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [256, 0, 8])
    item.add_new("LUTData", "OW", table.astype("<u1").view("<u2").byteswap().tobytes())
    stored = ramp(maximum=255)
    path = write_dicom(stored, 8, VOILUTSequence=[item])
    dataset = dcmread(path)
    dataset.PixelData = stored.astype(">u2").tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.BitsAllocated = 16
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    dataset.decode()
    dcmwrite(path, dataset, implicit_vr=False, little_endian=False)
    np.testing.assert_allclose(read_dicom(path).pixels, table[stored] / 255, atol=2e-7)


@pytest.mark.parametrize(
    ("descriptor", "data", "reason"),
    [
        ([256, 0, 20], bytes(512), "lookup table outside 8 to 16 bits"),
        ([4096, 0, 16], bytes(512), "lookup table shorter than announced"),
        ([256, 0, 16], bytes(512), "constant image"),
        ([256, 0, 16], bytes(range(256)), "lookup table shorter than announced"),
        (
            [256, 0, 8],
            np.arange(256, dtype="<u2").tobytes()[:-2] + b"\0\1",
            "lookup table with entries of more bits than it says",
        ),
    ],
)
def test_damaged_lookup_tables_are_refused(
    write_dicom: Write, ramp: Ramp, descriptor: list[int], data: bytes, reason: str
) -> None:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", descriptor)
    item.add_new("LUTData", "OW", data)
    assert reason_of(write_dicom(ramp(), 12, VOILUTSequence=[item])) == reason
