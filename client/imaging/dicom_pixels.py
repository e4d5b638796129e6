"""The stored values of a DICOM image, decoded only where all of them are there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    DigitalIntraOralXRayImageStorageForPresentation,
    DigitalIntraOralXRayImageStorageForProcessing,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForProcessing,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
)

from client.imaging.dicom_header import is_missing
from client.imaging.encapsulated import SYNTAXES, Announced, decode_encapsulated
from client.imaging.facts import ImageFacts
from shared.errors import ImageRejected

_ITEM = b"\xfe\xff\x00\xe0"  # PS3.5 A.4
# PS3.3 C.8.11.3: Pixel Representation is 0 in all of these.
_UNSIGNED = frozenset(
    {
        DigitalXRayImageStorageForPresentation,
        DigitalXRayImageStorageForProcessing,
        DigitalMammographyXRayImageStorageForPresentation,
        DigitalMammographyXRayImageStorageForProcessing,
        DigitalIntraOralXRayImageStorageForPresentation,
        DigitalIntraOralXRayImageStorageForProcessing,
    }
)


def stored_values(dataset: Dataset, facts: ImageFacts) -> NDArray[np.integer]:
    """Stored values, rows x columns, as the checked header (`facts`) announces them.

    Raises ImageRejected.
    """
    if "PixelData" not in dataset:
        # The header announced an image; pydicom drops an encapsulated element that ends early.
        raise ImageRejected("pixel data missing or truncated")
    unknown_sign = is_missing(dataset, "PixelRepresentation")
    if unknown_sign:
        dataset.PixelRepresentation = 0
    try:
        stored = _decoded(dataset)
    except ImageRejected:
        raise
    except Exception as error:
        raise ImageRejected("unreadable or truncated pixel data") from error
    if stored.shape != (facts.rows, facts.columns):
        raise ImageRejected("unreadable or truncated pixel data")
    # Without the highest bit the values are the same with either sign.
    ambiguous = unknown_sign and int(stored.max()) >> (facts.bits - 1) > 0
    if ambiguous and dataset.get("SOPClassUID") not in _UNSIGNED:
        raise ImageRejected("no pixel representation in the header")
    return stored


def _decoded(dataset: Dataset) -> NDArray[np.integer]:
    syntax = SYNTAXES.get(dataset.file_meta.TransferSyntaxUID)
    if syntax is None:
        _check_native(dataset)
        return pixel_array(dataset)
    if len(dataset.PixelData) == _native_bytes(dataset) and not dataset.PixelData.startswith(_ITEM):
        raise ImageRejected(f"the pixel data is not compressed but the header says {syntax.name}")
    announced = Announced(
        rows=int(dataset.Rows),
        columns=int(dataset.Columns),
        bits_allocated=int(dataset.BitsAllocated),
        bits_stored=int(dataset.BitsStored),
        signed=bool(dataset.PixelRepresentation),
    )
    return decode_encapsulated(dataset, announced)


def _native_bytes(dataset: Dataset) -> int:
    """The length of uncompressed pixels, padded to an even one: PS3.5 8.1.1."""
    size = int(dataset.Rows) * int(dataset.Columns) * int(dataset.BitsAllocated) // 8
    return size + size % 2


def _check_native(dataset: Dataset) -> None:
    """Refuse pixel data that is compressed, or of a picture larger than the header says.

    Rows of another length would be sheared. Padding behind a picture repeats one byte.
    """
    data, size = dataset.PixelData, _native_bytes(dataset)
    if data.startswith(_ITEM) and len(data) != size:
        raise ImageRejected("the pixel data is compressed but the header says it is uncompressed")
    surplus = data[size:]
    if surplus.strip(surplus[:1]):
        raise ImageRejected("more pixel data than the header says")
