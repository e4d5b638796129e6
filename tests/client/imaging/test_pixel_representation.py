from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
)

from client.imaging.dicom import read_dicom
from shared.errors import ImageRejected

Write = Callable[..., Path]
Ramp = Callable[..., NDArray[Any]]


@pytest.mark.parametrize(
    ("sop_class", "maximum", "readable"),
    [
        (DigitalXRayImageStorageForPresentation, 4095, True),  # PS3.3 C.8.11.3: always unsigned
        (ComputedRadiographyImageStorage, 2047, True),  # the same with either sign
        (ComputedRadiographyImageStorage, 4095, False),
    ],
)
def test_pixel_representation_may_be_absent_where_it_changes_nothing(
    write_dicom: Write, ramp: Ramp, sop_class: str, maximum: int, readable: bool
) -> None:
    stored = ramp(maximum=maximum)
    path = write_dicom(stored, 12, PixelRepresentation=None, SOPClassUID=sop_class)
    if readable:
        np.testing.assert_allclose(read_dicom(path).pixels, stored / maximum, atol=1e-6)
    else:
        with pytest.raises(ImageRejected, match="no pixel representation in the header"):
            read_dicom(path)


def lut(first: int, representation: str, count: int = 4096) -> Dataset:
    """A table of `count` entries of 12 bits, falling, whose first value mapped is `first`."""
    item = Dataset()
    item.add_new("LUTDescriptor", representation, [count, first, 12])
    item.add_new("LUTData", "US", list(range(count - 1, -1, -1)))
    return item


@pytest.mark.parametrize("representation", ["US", "SS"])
@pytest.mark.parametrize(
    ("low", "high", "bits", "rescale"),
    [
        (0, 4095, 13, None),  # signed, none below zero
        (-2048, 2047, 12, None),
        (0, 4095, 12, (1, -2048)),  # the rescale makes it signed
        (2100, 4095, 12, (1, -2048)),  # as above, none below zero
    ],
)
def test_the_first_value_of_a_voi_lut_is_signed_where_its_input_is(
    write_dicom: Write,
    ramp: Ramp,
    representation: str,
    low: int,
    high: int,
    bits: int,
    rescale: tuple[int, int] | None,
) -> None:
    """PS3.3 C.11.2.1.1, whatever US or SS the file says and whatever pixels are there."""
    stored = ramp(maximum=high - low) + low
    slope, intercept = rescale or (1, 0)
    attributes: dict[str, Any] = {"PixelRepresentation": int(rescale is None)}
    if rescale is not None:
        attributes |= {"RescaleSlope": slope, "RescaleIntercept": intercept}
    item = lut(-2048 if representation == "SS" else 2**16 - 2048, representation)
    path = write_dicom(stored, bits, VOILUTSequence=[item], **attributes)
    index = np.clip(stored * slope + intercept + 2048, 0, 4095)
    np.testing.assert_allclose(read_dicom(path).pixels, (4095 - index) / 4095, atol=1e-6)


@pytest.mark.parametrize("representation", ["US", "SS"])
@pytest.mark.parametrize("sequence", ["VOILUTSequence", "ModalityLUTSequence"])
def test_the_first_value_is_unsigned_where_the_input_is(
    write_dicom: Write, ramp: Ramp, representation: str, sequence: str
) -> None:
    stored = ramp(maximum=4095) + 40_000
    item = lut(40_000 - 2**16 if representation == "SS" else 40_000, representation)
    item.ModalityLUTType = "US"
    path = write_dicom(stored, 16, **{sequence: [item]})
    np.testing.assert_allclose(
        read_dicom(path).pixels, (4095 - (stored - 40_000)) / 4095, atol=1e-6
    )
