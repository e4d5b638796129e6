"""What the header of a DICOM image says, and whether such an image can be used."""

from __future__ import annotations

import re

from pydicom.dataset import Dataset
from pydicom.pixels.common import PhotometricInterpretation
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from client.imaging.encapsulated import SYNTAXES
from client.imaging.facts import NO_IMAGE, ImageFacts, check_size
from client.imaging.patient_id import patient_id_of
from client.imaging.subject import described_subject
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


def check_header(header: Dataset, maximum_pixels: int, *, colour: bool = False) -> None:
    """Raise ImageRejected unless it announces one greyscale picture that can be decoded.

    Where `colour` is asked for, the reason says where colour is read from.

    pydicom raises nearly anything where elements are damaged.
    """
    if not header.get("Rows") or not header.get("Columns"):
        raise ImageRejected(NO_IMAGE if _is_no_image(header) else "no image size in the header")
    photometric = text(header, "PhotometricInterpretation")
    if photometric in _MONOCHROME and header.SamplesPerPixel != 1:
        raise ImageRejected(f"{photometric} with samples per pixel other than 1")
    if photometric not in _MONOCHROME:
        # A damaged header may hold anything, a name too: only defined terms are repeated.
        if photometric is None:
            raise ImageRejected("no photometric interpretation in the header")
        known = photometric if photometric in _PHOTOMETRIC else "undefined"
        instead = " (colour is read from PNG and JPEG files only)" if colour else ""
        raise ImageRejected(f"photometric interpretation {known}{instead}")
    if int(header.get("NumberOfFrames") or 1) > 1:
        raise ImageRejected("multi-frame image")
    check_size(int(header.Rows), int(header.Columns), maximum_pixels)
    if is_missing(header, "BitsAllocated") or is_missing(header, "BitsStored"):
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


def facts_of(header: Dataset) -> ImageFacts:
    """What a checked header says of its image."""
    described_view, described_part = described_subject(header)
    return ImageFacts(
        format="DICOM",
        photometric=header.PhotometricInterpretation,
        bits=int(header.BitsStored),
        rows=int(header.Rows),
        columns=int(header.Columns),
        view=text(header, "ViewPosition"),
        burned_in_annotation=text(header, "BurnedInAnnotation"),
        modality=text(header, "Modality"),
        body_part=text(header, "BodyPartExamined"),
        transfer_syntax=_transfer_syntax(UID(header.file_meta.TransferSyntaxUID)),
        presentation_intent=text(header, "PresentationIntentType"),
        patient_id=patient_id_of(header),
        described_view=described_view,
        described_part=described_part,
        device=_device(header),
    )


def _device(header: Dataset) -> str | None:
    """Manufacturer and model, of which the second often begins with the first."""
    maker, model = text(header, "Manufacturer"), text(header, "ManufacturerModelName")
    if maker and model and not model.casefold().startswith(maker.casefold()):
        return f"{maker} {model}"
    return model or maker


def is_missing(dataset: Dataset, keyword: str) -> bool:
    """Whether the element is not there, or has no value."""
    return keyword not in dataset or dataset[keyword].is_empty


def text(header: Dataset, keyword: str) -> str | None:
    """The element without spaces around it, or None."""
    return str(header.get(keyword) or "").strip() or None
