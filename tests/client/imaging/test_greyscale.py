from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import dcmread

from client.imaging.dicom import read_dicom
from shared.errors import ImageRejected

Write = Callable[..., Path]
Ramp = Callable[..., NDArray[Any]]


def reason_of(path: Path) -> str:
    with pytest.raises(ImageRejected) as caught:
        read_dicom(path)
    return caught.value.reason


def stored_values(bits: int, signed: bool, shape: tuple[int, int] = (40, 48)) -> NDArray[Any]:
    low = -(2 ** (bits - 1)) if signed else 0
    values = np.linspace(low, low + 2**bits - 1, shape[0] * shape[1]).round()
    shuffled = np.random.default_rng(bits).permutation(values).reshape(shape)
    return shuffled.astype(np.int32 if signed else np.uint32)


def linear(x: NDArray[Any], center: float, width: float) -> NDArray[Any]:
    """The pseudo-code of PS3.3 C.11.2.1.2.1 with the output range 0 to 1."""
    inside = (x - (center - 0.5)) / (width - 1) + 0.5
    low = x <= center - 0.5 - (width - 1) / 2
    high = x > center - 0.5 + (width - 1) / 2
    return np.where(low, 0.0, np.where(high, 1.0, inside))


def linear_exact(x: NDArray[Any], center: float, width: float) -> NDArray[Any]:
    """PS3.3 C.11.2.1.3.2."""
    inside = (x - center) / width + 0.5
    return np.where(x <= center - width / 2, 0.0, np.where(x > center + width / 2, 1.0, inside))


def sigmoid(x: NDArray[Any], center: float, width: float) -> NDArray[Any]:
    """PS3.3 C.11.2.1.3.1."""
    return 1 / (1 + np.exp(-4 * (x - center) / width))


FUNCTIONS = {"LINEAR": linear, "LINEAR_EXACT": linear_exact, "SIGMOID": sigmoid}


@pytest.mark.parametrize(
    ("bits", "signed", "photometric", "rescale", "function"),
    list(
        itertools.product(
            (8, 10, 12, 16),
            (False, True),
            ("MONOCHROME1", "MONOCHROME2"),
            (None, (1.0, -1024.0), (-0.5, 3000.0), (2.25, 10.5)),
            (None, *FUNCTIONS),
        )
    ),
)
def test_greyscale_transformation_follows_the_formulas_of_the_standard(
    write_dicom: Write,
    bits: int,
    signed: bool,
    photometric: str,
    rescale: tuple[float, float] | None,
    function: str | None,
) -> None:
    stored = stored_values(bits, signed)
    attributes: dict[str, Any] = {"PhotometricInterpretation": photometric}
    values = stored.astype(np.float64)
    if rescale is not None:
        attributes |= {"RescaleSlope": rescale[0], "RescaleIntercept": rescale[1]}
        values = values * rescale[0] + rescale[1]
    if function is None:
        expected = (values - values.min()) / (values.max() - values.min())
    else:
        center, width = round(float(values.mean()), 2), round(float(np.ptp(values)) / 2, 2)
        attributes |= {"WindowCenter": center, "WindowWidth": width, "VOILUTFunction": function}
        expected = FUNCTIONS[function](values, center, width)
    if photometric == "MONOCHROME1":
        expected = 1 - expected

    image = read_dicom(write_dicom(stored, bits, **attributes))

    assert image.pixels.dtype == np.float32
    np.testing.assert_allclose(image.pixels, expected, atol=2e-7)
    assert (image.facts.bits, image.facts.photometric) == (bits, photometric)


def test_first_of_several_windows_counts(write_dicom: Write, ramp: Ramp) -> None:
    stored = ramp()
    path = write_dicom(stored, 12, WindowCenter=[900, 2000], WindowWidth=[700, 4000])
    np.testing.assert_allclose(read_dicom(path).pixels, linear(stored, 900, 700), atol=2e-7)


@pytest.mark.parametrize("window", [False, True])
@pytest.mark.parametrize(
    ("alone", "slope", "intercept"),
    [({"RescaleSlope": "-0.5"}, -0.5, 0.0), ({"RescaleIntercept": "-1024"}, 1.0, -1024.0)],
)
def test_half_of_a_rescale_is_applied(
    write_dicom: Write, ramp: Ramp, alone: dict[str, str], slope: float, intercept: float,
    window: bool,
) -> None:  # fmt: skip
    """As other programs do: a slope of -1 that is left aside shows bones black."""
    values = ramp() * slope + intercept
    attributes = {"WindowCenter": -200, "WindowWidth": 1500} if window else {}
    expected = (values - values.min()) / np.ptp(values)
    if window:
        expected = linear(values, -200, 1500)
    image = read_dicom(write_dicom(ramp(), 12, **alone, **attributes))
    np.testing.assert_allclose(image.pixels, expected, atol=2e-7)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("window", [False, True])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("limit", [False, True])
def test_padding_is_black_and_does_not_count_for_the_range(
    write_dicom: Write, ramp: Ramp, photometric: str, window: bool, signed: bool, limit: bool
) -> None:
    stored = ramp(maximum=1000) + 500
    padded = np.zeros(stored.shape, dtype=bool)
    padded[:5] = True
    stored = stored.astype(np.int32 if signed else np.uint32)
    stored[:3], stored[3:5] = (-2000, -1990 if limit else -2000) if signed else (0, 9 * limit)
    attributes: dict[str, Any] = {
        "PixelPaddingValue": -2000 if signed else 0,
        "PhotometricInterpretation": photometric,
    }
    if limit:
        attributes["PixelPaddingRangeLimit"] = -1990 if signed else 9
    real = stored[~padded].astype(np.float64)
    expected = (stored - real.min()) / (real.max() - real.min())
    if window:
        attributes |= {"WindowCenter": 900, "WindowWidth": 700}
        expected = linear(stored, 900, 700)
    if photometric == "MONOCHROME1":
        expected = 1 - expected
    expected[padded] = 0

    image = read_dicom(write_dicom(stored, 16, **attributes))

    np.testing.assert_allclose(image.pixels, expected, atol=2e-7)


def test_padding_written_with_the_wrong_sign_is_still_found(write_dicom: Write, ramp: Ramp) -> None:
    stored = ramp(maximum=1000).astype(np.int32)
    stored[:4] = -2000
    path = write_dicom(stored, 16)
    dataset = dcmread(path)
    dataset.add_new("PixelPaddingValue", "US", 2**16 - 2000)
    dataset.save_as(path)
    image = read_dicom(path)
    assert not image.pixels[:4].any()
    np.testing.assert_allclose(image.pixels[4:].max(), 1)
    low, high = stored[4:].min(), stored[4:].max()
    np.testing.assert_allclose(image.pixels[4:], (stored[4:] - low) / (high - low), atol=2e-7)


def test_unused_high_bits_do_not_count(write_dicom: Write, ramp: Ramp) -> None:
    stored = ramp()
    overlay = np.where(np.arange(stored.shape[1]) < 4, 0x8000, 0)
    path = write_dicom(stored | overlay, 12)
    np.testing.assert_allclose(read_dicom(path).pixels, stored / 4095, atol=2e-7)


def test_attributes_without_a_value_count_as_absent(write_dicom: Write, ramp: Ramp) -> None:
    empty = dict.fromkeys(
        ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "VOILUTFunction"), ""
    )
    stored = ramp()
    path = write_dicom(stored, 12, **empty)
    np.testing.assert_allclose(read_dicom(path).pixels, stored / 4095, atol=2e-7)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_inverting_both_pixels_and_polarity_changes_nothing(
    write_dicom: Write, data: st.DataObject
) -> None:
    bits = data.draw(st.sampled_from([8, 10, 12, 16]))
    seed = data.draw(st.integers(0, 2**32 - 1))
    stored = np.random.default_rng(seed).integers(0, 2**bits, (33, 35)).astype(np.uint32)
    plain = read_dicom(write_dicom(stored, bits)).pixels
    inverted = 2**bits - 1 - stored
    path = write_dicom(inverted, bits, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_allclose(read_dicom(path).pixels, plain, atol=2e-7)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"WindowCenter": 5, "WindowWidth": 0.5}, "window width below the minimum of LINEAR"),
        (
            {"WindowCenter": 5, "WindowWidth": 0, "VOILUTFunction": "SIGMOID"},
            "window width below the minimum of SIGMOID",
        ),
        (
            {"WindowCenter": 5, "WindowWidth": 9, "VOILUTFunction": "CUBIC"},
            "undefined VOI LUT function",
        ),
        ({"WindowCenter": 90000, "WindowWidth": 10}, "constant image"),
        ({"RescaleSlope": 0, "RescaleIntercept": 5}, "constant image"),
        (
            {"RescaleSlope": "1e306", "RescaleIntercept": "-1e308"},
            "values that are not finite",
        ),
    ],
)
def test_contradictory_attributes_are_refused(
    write_dicom: Write, ramp: Ramp, attributes: dict[str, Any], reason: str
) -> None:
    assert reason_of(write_dicom(ramp(), 12, **attributes)) == reason


def test_constant_image_and_image_of_padding_are_refused(write_dicom: Write) -> None:
    flat = np.full((40, 40), 7)
    assert reason_of(write_dicom(flat, 12)) == "constant image"
    assert reason_of(write_dicom(flat, 12, PixelPaddingValue=7)) == "constant image"
