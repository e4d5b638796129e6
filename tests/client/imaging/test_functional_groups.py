"""Rescale and window of enhanced images, against the formulas of PS3.3 C.11."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from client.imaging.dicom import read_dicom
from shared.errors import ImageRejected

Write = Callable[..., Path]
Ramp = Callable[..., NDArray[Any]]


def item(**elements: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


RESCALE = item(RescaleSlope=-1, RescaleIntercept=4095, RescaleType="US")
WINDOW = item(WindowCenter=[2000, 1], WindowWidth=[1001, 1])


@pytest.mark.parametrize("shared", [False, True])
def test_the_window_and_polarity_of_the_frame_are_its_functional_groups(
    write_dicom: Write, ramp: Ramp, shared: bool
) -> None:
    rescale = {"PixelValueTransformationSequence": [RESCALE]}
    window = {"FrameVOILUTSequence": [WINDOW]}
    groups = {
        "SharedFunctionalGroupsSequence": [item(**rescale, **(window if shared else {}))],
        "PerFrameFunctionalGroupsSequence": [item(**({} if shared else window))],
    }
    image = read_dicom(write_dicom(ramp(), 12, NumberOfFrames=1, **groups))
    values = 4095.0 - ramp()
    expected = np.clip((values - 1999.5) / 1000 + 0.5, 0, 1)  # PS3.3 C.11.2.1.2.1
    np.testing.assert_allclose(image.pixels, expected, atol=2e-7)


@pytest.mark.parametrize("empty", [[], [item()], [item(FrameVOILUTSequence=[])]])
def test_groups_without_such_items_change_nothing(
    write_dicom: Write, ramp: Ramp, empty: list[Dataset]
) -> None:
    window = {"WindowCenter": 2000, "WindowWidth": 1001}
    plain = read_dicom(write_dicom(ramp(), 12, **window)).pixels
    path = write_dicom(ramp(), 12, SharedFunctionalGroupsSequence=empty, **window)
    np.testing.assert_array_equal(read_dicom(path).pixels, plain)


def test_damaged_groups_set_the_image_aside(write_dicom: Write, ramp: Ramp) -> None:
    dataset = item(FrameVOILUTSequence=[item(WindowCenter="1", WindowWidth="0")])
    path = write_dicom(ramp(), 12, SharedFunctionalGroupsSequence=[dataset])
    with pytest.raises(ImageRejected, match="window width below the minimum"):
        read_dicom(path)
