"""The Patient ID (0010,0020) of a DICOM header, so that different bytes stay different patients."""

from __future__ import annotations

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.valuerep import TEXT_VR_DELIMS

LOST = "\ufffd"
"""Stands where a program that did not know a letter has thrown it away."""


def patient_id_of(header: Dataset) -> str | None:
    """The identifier as text, None where there is none.

    Decoded by the header's Specific Character Set (0008,0005). pydicom puts one and the same sign
    for every byte that this set lacks, which makes one patient of two; here such a byte stays apart
    (`surrogateescape`). A backslash, which separates values (PS3.5 6.2), stays in the text. Blanks
    around it are not significant, and NUL at its end is padding of old programs.
    """
    if "PatientID" not in header:
        return None
    element = header.get_item("PatientID")
    if isinstance(element, RawDataElement):
        text = _decoded(bytes(element.value or b""), header)
    else:
        value = header["PatientID"].value
        text = str(value or "") if isinstance(value, str | None) else "\\".join(map(str, value))
    return text.strip(" \0") or None


def has_lost_letters(identifier: str | None) -> bool:
    """Whether it can no longer be decided whose identifier it is."""
    return identifier is not None and LOST in identifier


def _decoded(raw: bytes, header: Dataset) -> str:
    if raw.isascii() and b"\x1b" not in raw:
        return raw.decode("ascii")
    try:
        encodings = convert_encodings(header.get("SpecificCharacterSet") or "ISO_IR 6")
        text = decode_bytes(raw, encodings, TEXT_VR_DELIMS)
    except Exception:  # a header damaged there may raise anything
        text = LOST
    # pydicom says in a warning alone that it has replaced bytes; a lost letter that the file itself
    # holds is another thing, and stays.
    replaced = LOST in text and LOST.encode() not in raw
    return raw.decode("ascii", "surrogateescape") if replaced else text
