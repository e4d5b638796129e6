"""The DICOM greyscale transformation from stored values to display values in [0, 1].

Stored value -> Modality LUT (PS3.3 C.11.1) -> VOI LUT (PS3.3 C.11.2) -> polarity
(PS3.3 C.7.6.3.1.2 and C.11.6). Each step depends on the stored value alone, so it is worked out
once for every value between the smallest and the largest, at most 65,536, and looked up by each
pixel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_rescale, apply_windowing

from client.imaging.facts import check_contrast
from client.imaging.functional_groups import take_from_functional_groups
from shared.errors import ImageRejected

_OPTIONAL = (
    "ModalityLUTSequence",
    "RescaleSlope",
    "RescaleIntercept",
    "VOILUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
)

Values = NDArray[np.float64]


def to_display(stored: NDArray[np.integer], dataset: Dataset) -> NDArray[np.float32]:
    """Display values, float32 in [0, 1], bright where less radiation arrived.

    `stored` is rows x columns as decoded, at most 16 bits. Padding becomes black.
    Raises ImageRejected for attributes that contradict the standard and for no contrast.
    """
    take_from_functional_groups(dataset)
    _drop_empty(dataset)
    _complete_rescale(dataset)
    first = int(stored.min())
    index = np.subtract(stored, first, dtype=np.int32)
    occurs = np.bincount(index.ravel()) > 0
    levels = np.arange(first, first + occurs.size, dtype=np.int64)
    padding = _padding(levels, dataset)
    real = occurs & ~padding
    if not real.any():
        raise ImageRejected("constant image")
    grey = _voi(*_modality(levels, dataset), dataset, real)
    check_contrast(grey[real])
    if _is_inverse(dataset):
        grey = 1 - grey
    grey[padding] = 0
    pixels: NDArray[np.float32] = grey.astype(np.float32)[index]
    return pixels


def _is_inverse(dataset: Dataset) -> bool:
    """Whether the minimum is shown white.

    MONOCHROME1 says so (PS3.3 C.7.6.3.1.2), and the Presentation LUT Shape INVERSE that
    C.8.11.3.1.2 demands there says the same again. Where they contradict each other, the shape is
    the later step and decides (C.11.6), as in dcmtk and dcm4che.
    """
    shape = presentation_lut_shape(dataset)
    if shape is not None:
        return shape == "INVERSE"
    return bool(dataset.PhotometricInterpretation == "MONOCHROME1")


def presentation_lut_shape(dataset: Dataset) -> str | None:
    """`"IDENTITY"` or `"INVERSE"`, or None without a shape that is defined for images."""
    shape = str(dataset.get("PresentationLUTShape") or "").strip().upper()
    return shape if shape in ("IDENTITY", "INVERSE") else None


def _drop_empty(dataset: Dataset) -> None:
    """Delete attributes that are there without a value; pydicom takes them for given."""
    for keyword in _OPTIONAL:
        if keyword in dataset and dataset[keyword].is_empty:
            del dataset[keyword]


def _complete_rescale(dataset: Dataset) -> None:
    """Give a slope its intercept and the other way round: PS3.3 C.11.1 wants both, or neither.

    pydicom drops one that stands alone, and with it a polarity or the values that a window is for.
    """
    if "RescaleSlope" in dataset or "RescaleIntercept" in dataset:
        dataset.RescaleSlope = dataset.get("RescaleSlope", 1)
        dataset.RescaleIntercept = dataset.get("RescaleIntercept", 0)


def _padding(levels: NDArray[np.int64], dataset: Dataset) -> NDArray[np.bool_]:
    """Which levels are padding: PS3.3 C.7.5.1.1.2, in stored values, both limits included."""
    if "PixelPaddingValue" not in dataset:
        return np.zeros(levels.size, dtype=bool)
    value = _as_stored(dataset.PixelPaddingValue, dataset)
    limit = _as_stored(dataset.get("PixelPaddingRangeLimit", value), dataset)
    return (levels >= min(value, limit)) & (levels <= max(value, limit))


def _as_stored(value: int, dataset: Dataset) -> int:
    """A value whose US or SS was chosen against Pixel Representation, as the pixels have it."""
    span = 1 << int(dataset.BitsAllocated)
    value = int(value) % span
    return value - span if dataset.PixelRepresentation and value >= span // 2 else value


def _stored_range(dataset: Dataset) -> tuple[int, int]:
    """The least and greatest value that Bits Stored and Pixel Representation allow."""
    span = 1 << int(dataset.BitsStored)
    return (-span // 2, span // 2 - 1) if dataset.PixelRepresentation else (0, span - 1)


def _modality(levels: NDArray[np.int64], dataset: Dataset) -> tuple[Values, tuple[float, float]]:
    """Modality values of the levels, and the range that such values can have."""
    possible = _stored_range(dataset)
    if "ModalityLUTSequence" in dataset:  # PS3.3 C.11.1.1
        entries, bits = _look_up(levels, dataset.ModalityLUTSequence[0], dataset, possible)
        return entries, (0, 2**bits - 1)
    ends = apply_rescale(np.array(possible), dataset).astype(np.float64)
    values = apply_rescale(levels, dataset).astype(np.float64)  # PS3.3 C.11.1.1.2
    return values, (float(ends.min()), float(ends.max()))


def _voi(
    values: Values, possible: tuple[float, float], dataset: Dataset, real: NDArray[np.bool_]
) -> Values:
    """Values of interest in [0, 1]: the first VOI LUT, else the first window, else all."""
    item = dataset.VOILUTSequence[0] if "VOILUTSequence" in dataset else None
    if item is not None and item.get("LUTDescriptor") and item.get("LUTData"):
        entries, bits = _look_up(values, item, dataset, possible)  # PS3.3 C.11.2.1.1
        return _clip(entries / (2**bits - 1))
    if "WindowCenter" in dataset and "WindowWidth" in dataset:
        return _window(values, dataset)  # PS3.3 C.11.2.1.2
    low, high = values[real].min(), values[real].max()
    return _clip((values - low) / max(high - low, np.finfo(np.float64).tiny))


def _window(values: Values, dataset: Dataset) -> Values:
    function = str(dataset.get("VOILUTFunction", "LINEAR")).strip().upper()
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):  # PS3.3 C.11.2.1.3
        raise ImageRejected("undefined VOI LUT function")
    width = dataset.WindowWidth if dataset["WindowWidth"].VM == 1 else dataset.WindowWidth[0]
    # PS3.3 C.11.2.1.2.1: at least 1 for LINEAR; C.11.2.1.3: above 0 for the others.
    if not (width >= 1 if function == "LINEAR" else width > 0):
        raise ImageRejected(f"window width below the minimum of {function}")
    # The output range belongs to the function and depends on bits, sign and rescale; its ends
    # are what infinitely dark and bright input give, in this order whatever the slope's sign.
    with np.errstate(over="ignore"):
        out = apply_windowing(np.concatenate([values, [-np.inf, np.inf]]), dataset)
    low, high = out[-2:]
    if low == high:
        raise ImageRejected("constant image")
    return _clip((out[:-2] - low) / (high - low))


def _clip(grey: Values) -> Values:
    clipped: Values = np.clip(grey, 0, 1)
    return clipped


def _look_up(
    values: NDArray[np.int64] | Values,
    item: Dataset,
    dataset: Dataset,
    possible: tuple[float, float],
) -> tuple[Values, int]:
    """Entries of a lookup table and their bits; PS3.3 C.11.1.1.1 and C.11.2.1.1.

    `possible` is the range of the table's input, which decides on the sign of its first value.

    pydicom's own lookup keeps the index in the type of the entries, so that a table of more
    than 256 entries of 8 bits wraps around, and refuses values after a rescale.
    """
    count, first, bits = (int(number) for number in item.LUTDescriptor)
    count = count % 2**16 or 2**16  # 0 stands for 65,536
    first = _first_mapped(first, possible)
    if not 8 <= bits <= 16:
        raise ImageRejected("lookup table outside 8 to 16 bits")
    entries = _entries(item, count, bits, dataset)
    if int(entries.max()) >> bits:
        raise ImageRejected("lookup table with entries of more bits than it says")
    index = np.clip(np.rint(values) - first, 0, count - 1).astype(np.int64)
    return entries[index].astype(np.float64), bits


def _first_mapped(first: int, possible: tuple[float, float]) -> int:
    """The first value mapped, signed where the table's input is: PS3.3 C.11.2.1.1.

    Files say US or SS (PS3.6) by other rules, which gives a value 65,536 away.
    """
    lowest, highest = possible
    if lowest < 0:
        return first - 2**16 if first >= 2**15 else first
    return first + 2**16 if first < 0 and first + 2**16 <= highest else first


def _entries(item: Dataset, count: int, bits: int, dataset: Dataset) -> NDArray[np.unsignedinteger]:
    data = item.LUTData
    little = dataset.original_encoding[1] is not False
    if not isinstance(data, bytes):
        data, little = np.atleast_1d(np.asarray(data)).astype("<u2").tobytes(), True
    # Entries of 8 bits, packed to an even length; of more bits half of them would be missing.
    if bits == 8 and len(data) - count % 2 == count:
        if not little:  # in words of 16 bits, whose first entry is the low byte: PS3.5 8.1.1
            data = np.frombuffer(data, dtype=np.uint16).byteswap().tobytes()
        return np.frombuffer(data, dtype=np.uint8)[:count]
    if len(data) < 2 * count:
        raise ImageRejected("lookup table shorter than announced")
    return np.frombuffer(data, dtype="<u2" if little else ">u2")[:count]
