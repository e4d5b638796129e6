"""An explanation as a DICOM Secondary Capture Image (PS3.3 A.8.1) that refers to its source."""

from __future__ import annotations

import contextlib

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from client.imaging.deflated import read_if_deflated
from client.imaging.patient_id import LOST
from client.predict.files import ReadImage
from shared.run.finished import NOTICE
from shared.storage.digest import file_sha256

_TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber",
)  # fmt: skip
"""Of the Patient and General Study modules (PS3.3 C.7.1.1, C.7.2.1); empty where unknown."""
_WHERE_KNOWN = (
    "SpecificCharacterSet", "IssuerOfPatientID", "PatientIdentityRemoved",
    "DeidentificationMethod", "DeidentificationMethodCodeSequence", "PatientAge",
    "StudyDescription", "LossyImageCompression", "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)  # fmt: skip
"""Copied where the source has them; what was once compressed with loss stays so for ever."""


def secondary_capture(overlay: NDArray[np.uint8], source: ReadImage, run: str) -> Dataset:
    """The overlay image (rows x columns x 3) as a dataset to be written with `enforce_file_format`.

    Patient and study are those of `source` where it is DICOM, else empty, in a study of its own.
    The UIDs follow from the run and the source's content: repeated, the same object is made, and
    one that has been sent to an archive is recognised there.
    """
    header = _header(source)
    digest = file_sha256(source.path)
    capture, capture.file_meta = Dataset(), FileMetaDataset()
    for keyword in _TYPE_2:
        setattr(capture, keyword, "")
    for keyword in (*_TYPE_2, *_WHERE_KNOWN):
        with contextlib.suppress(Exception):  # a damaged value may raise anything
            _copy(header, capture, keyword)
    study = _uid_in(header, "StudyInstanceUID") or _uid("study", digest)
    for keyword, value in {
        "SOPClassUID": SecondaryCaptureImageStorage,
        "SOPInstanceUID": _uid("instance", run, digest),
        "StudyInstanceUID": study,
        "SeriesInstanceUID": _uid("series", run, study),
        "SeriesNumber": None,
        "SeriesDescription": "FedThaw explanation, not for diagnosis",
        "Modality": "OT",
        "InstanceNumber": _instance_number(header),
        "PatientOrientation": None,
        "ImageType": ["DERIVED", "SECONDARY"],
        "ConversionType": "WSD",  # PS3.3 C.8.6.1: made by a workstation
        "Manufacturer": "FedThaw",
        "BurnedInAnnotation": "YES",
        "DerivationDescription": "Grad-CAM (arXiv:1610.02391) of a neural network",
        "ImageComments": (
            "Explanation of a model's score, not a diagnosis: left what the network saw, right "
            f"where that raised the score, relative to its strongest place. Run {run}. {NOTICE}"
        ),
    }.items():
        setattr(capture, keyword, value)
    _refer_to(capture, header)
    capture.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    capture.set_pixel_data(overlay, "RGB", 8, generate_instance_uid=False)
    return capture


def _copy(header: Dataset, capture: Dataset, keyword: str) -> None:
    """Copy an element that the source has, where its text cannot be decoded byte by byte.

    pydicom would write one sign for all letters that the source's character set lacks, and one
    patient's identifier might become another's.
    """
    if keyword not in header:
        return
    raw = header.get_item(keyword)
    element = header[keyword]
    if isinstance(raw, RawDataElement) and raw.value and LOST in str(element.value):
        element = DataElement(element.tag, element.VR, raw.value)
    capture[keyword] = element


def _instance_number(header: Dataset) -> int | None:
    """The source's Instance Number (0020,0013) where it is the integer that it must be."""
    try:
        return int(header.InstanceNumber)
    except Exception:  # missing, several, `1A`: pydicom raises nearly anything
        return None


def _uid_in(header: Dataset, keyword: str) -> UID | None:
    """A UID that is one (PS3.5 9.1); anything else must not go into an object of our own."""
    try:
        uid = UID(str(header[keyword].value))
    except Exception:
        return None
    return uid if uid.is_valid else None


def _refer_to(capture: Dataset, header: Dataset) -> None:
    """Source Image Sequence (PS3.3 C.7.6.1), where the source has a name."""
    kind, instance = _uid_in(header, "SOPClassUID"), _uid_in(header, "SOPInstanceUID")
    if kind and instance:
        reference = Dataset()
        reference.ReferencedSOPClassUID = kind
        reference.ReferencedSOPInstanceUID = instance
        capture.SourceImageSequence = [reference]


def _header(source: ReadImage) -> Dataset:
    if source.facts.format != "DICOM":
        return Dataset()
    # Decoding was bounded, in a process of its own; here, what is large is not read at all.
    deflated = read_if_deflated(source.path, stop_before_pixels=True)
    if deflated is not None:
        return deflated
    return dcmread(source.path, defer_size=2**16, stop_before_pixels=True, force=True)


def _uid(*sources: str) -> UID:
    return generate_uid(entropy_srcs=["fedthaw explanation", *sources])
