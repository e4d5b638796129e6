"""DICOM files to greyscale images in the polarity for viewing.

Rows and columns stay as they are stored; Patient Orientation (0020,0020) is not applied.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filereader import read_partial
from pydicom.pixels.common import PhotometricInterpretation
from pydicom.pixels.utils import pixel_array
from pydicom.tag import BaseTag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    DigitalIntraOralXRayImageStorageForPresentation,
    DigitalIntraOralXRayImageStorageForProcessing,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForProcessing,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from client.imaging.deflated import read_if_deflated
from client.imaging.encapsulated import SYNTAXES, Announced, decode_encapsulated
from client.imaging.facts import NO_IMAGE, DecodedImage, ImageFacts, check_size
from client.imaging.greyscale import to_display
from client.imaging.limits import MAXIMUM_PIXELS
from client.imaging.patient_id import patient_id_of
from client.imaging.quiet import quiet_libraries
from client.imaging.remarks import remarks_on_header, remarks_on_pixels
from shared.errors import ImageRejected

_MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
_PHOTOMETRIC = frozenset(str(member.value) for member in PhotometricInterpretation)
_STANDARD = re.compile(r"1\.2\.840\.10008(\.\d{1,4}){1,8}")
_NATIVE = frozenset(
    {
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
    }
)
_ITEM = b"\xfe\xff\x00\xe0"  # PS3.5 A.4
_PIXEL_DATA = 0x7FE00010
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


def read_dicom(path: Path, maximum_pixels: int = MAXIMUM_PIXELS) -> DecodedImage:
    """Decode a single-frame greyscale DICOM image of 8 to 16 bits.

    Raises ImageRejected with a short phrase that names neither file nor patient.
    """
    with quiet_libraries():
        header = _read(path, stop_before_pixels=True)
        # Decoders and element access of third parties raise nearly anything on a damaged file;
        # whatever it is, it sets one image aside.
        try:
            _check_header(header, maximum_pixels)
            facts = _facts(header)
        except ImageRejected:
            raise
        except Exception as error:
            raise ImageRejected("unreadable DICOM header") from error
        dataset = _read(path, stop_before_pixels=False)
        stored = _stored_values(dataset, facts)
        try:
            pixels = to_display(stored, dataset)
        except ImageRejected:
            raise
        except Exception as error:
            raise ImageRejected("unreadable greyscale attributes") from error
        remarks = (*remarks_on_header(dataset), *remarks_on_pixels(pixels))
    return DecodedImage(pixels, replace(facts, remarks=remarks))


def read_patient_id(path: Path) -> str | None:
    """The Patient ID (0010,0020) of a file whose pixels were refused, or None."""
    with quiet_libraries():
        try:
            return patient_id_of(_read(path, stop_before_pixels=True))
        except Exception:
            return None  # the file may be damaged anywhere


def _read(path: Path, *, stop_before_pixels: bool) -> Dataset:
    try:
        dataset = read_if_deflated(path, stop_before_pixels=stop_before_pixels)
        if dataset is None:
            dataset = _header(path) if stop_before_pixels else _all_elements(path)
        if dataset is None:
            dataset = _up_to_pixels(path)
    except ImageRejected:
        raise
    except OSError as error:
        raise ImageRejected("file cannot be read") from error
    except Exception as error:
        raise ImageRejected("unreadable or truncated DICOM file") from error
    if "SOPClassUID" not in dataset and "Rows" not in dataset:
        raise ImageRejected("not a DICOM file")
    if not dataset.file_meta.get("TransferSyntaxUID"):
        # Without the meta information of PS3.10 7.1 there is only the encoding that was found.
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    try:
        _normalise(dataset)
    except Exception as error:
        raise ImageRejected("unreadable DICOM header") from error
    return dataset


def _header(path: Path) -> Dataset:
    return dcmread(path, stop_before_pixels=True, force=True)


def _all_elements(path: Path) -> Dataset | None:
    """The dataset, or None where pydicom loses all of it over what follows the pixels.

    Blocks of a disk or an archive leave bytes there that are no elements.
    """
    try:
        dataset = dcmread(path, force=True)
    except OSError:
        raise
    except Exception:
        return None
    return dataset if "PixelData" in dataset else None


def _up_to_pixels(path: Path) -> Dataset:
    seen = False

    def is_behind(tag: BaseTag, vr: str | None, length: int) -> bool:
        nonlocal seen
        behind, seen = seen, seen or tag == _PIXEL_DATA
        return behind

    with path.open("rb") as file:
        return read_partial(file, stop_when=is_behind, force=True)


def _normalise(dataset: Dataset) -> None:
    """Correct what is understood although PS3.5 and PS3.3 C.7.6.3 want it otherwise.

    pydicom removes trailing spaces only; leading ones mean nothing in a CS either (PS3.5 6.2).
    """
    photometric = _text(dataset, "PhotometricInterpretation")
    if photometric:
        dataset.PhotometricInterpretation = photometric.upper()
    if _is_missing(dataset, "SamplesPerPixel"):
        dataset.SamplesPerPixel = 1


def _is_missing(dataset: Dataset, keyword: str) -> bool:
    return keyword not in dataset or dataset[keyword].is_empty


def _check_header(header: Dataset, maximum_pixels: int) -> None:
    if not header.get("Rows") or not header.get("Columns"):
        raise ImageRejected(NO_IMAGE if _is_no_image(header) else "no image size in the header")
    photometric = _text(header, "PhotometricInterpretation")
    if photometric in _MONOCHROME and header.SamplesPerPixel != 1:
        raise ImageRejected(f"{photometric} with samples per pixel other than 1")
    if photometric not in _MONOCHROME:
        # A damaged header may hold anything, a name too: only defined terms are repeated.
        if photometric is None:
            raise ImageRejected("no photometric interpretation in the header")
        known = photometric if photometric in _PHOTOMETRIC else "undefined"
        raise ImageRejected(f"photometric interpretation {known}")
    if int(header.get("NumberOfFrames") or 1) > 1:
        raise ImageRejected("multi-frame image")
    check_size(int(header.Rows), int(header.Columns), maximum_pixels)
    if _is_missing(header, "BitsAllocated") or _is_missing(header, "BitsStored"):
        raise ImageRejected("no bits allocated or bits stored in the header")
    if header.BitsAllocated not in (8, 16) or not 8 <= header.BitsStored <= header.BitsAllocated:
        raise ImageRejected("bits stored outside 8 to 16")
    # PS3.3 C.7.6.3 and PS3.5 8.1.1: High Bit is one less than Bits Stored. Retired editions
    # allowed others; decoders that mask unused bits would cut off the brightest ones.
    if header.get("HighBit", header.BitsStored - 1) != header.BitsStored - 1:
        raise ImageRejected("high bit is not bits stored minus one")
    _check_transfer_syntax(header)


def _is_no_image(header: Dataset) -> bool:
    """Whether it is a report, plan, presentation state or the like: PS3.4 B.5, and private ones.

    An image that ends before its Rows (0028,0010) keeps its SOP Class UID (0008,0016).
    """
    name = UID(str(header.get("SOPClassUID") or "")).name
    return bool(name) and "Image Storage" not in name and "Rows" not in header


def _check_transfer_syntax(header: Dataset) -> None:
    uid = UID(header.file_meta.TransferSyntaxUID)
    if uid not in _NATIVE and uid not in SYNTAXES:
        raise ImageRejected(f"unsupported transfer syntax {_transfer_syntax(uid)}")


def _transfer_syntax(uid: UID) -> str:
    """The name of a transfer syntax; a UID that DICOM does not define may hold anything."""
    if uid.name != str(uid):
        return str(uid.name)
    if uid in SYNTAXES:
        return SYNTAXES[uid].name
    # A standard one that is newer than pydicom: PS3.5 9.1, at most 64 characters.
    return str(uid) if _STANDARD.fullmatch(uid) else "private"


def _stored_values(dataset: Dataset, facts: ImageFacts) -> NDArray[np.integer]:
    if "PixelData" not in dataset:
        # The header announced an image; pydicom drops an encapsulated element that ends early.
        raise ImageRejected("pixel data missing or truncated")
    unknown_sign = _is_missing(dataset, "PixelRepresentation")
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


def _facts(header: Dataset) -> ImageFacts:
    return ImageFacts(
        format="DICOM",
        photometric=header.PhotometricInterpretation,
        bits=int(header.BitsStored),
        rows=int(header.Rows),
        columns=int(header.Columns),
        view=_text(header, "ViewPosition"),
        burned_in_annotation=_text(header, "BurnedInAnnotation"),
        modality=_text(header, "Modality"),
        body_part=_text(header, "BodyPartExamined"),
        transfer_syntax=_transfer_syntax(UID(header.file_meta.TransferSyntaxUID)),
        presentation_intent=_text(header, "PresentationIntentType"),
        patient_id=patient_id_of(header),
    )


def _text(header: Dataset, keyword: str) -> str | None:
    return str(header.get(keyword) or "").strip() or None
