"""The DICOM object of an explanation, written and read again."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from client.imaging.limits import MAXIMUM_PIXELS
from client.predict.files import ReadImage, read_in_batches
from client.predict.secondary_capture import secondary_capture

Write = Callable[..., Path]
PICTURE = np.random.default_rng(0).integers(0, 256, (40, 80, 3), dtype=np.uint8)
STUDY = "1.2.826.0.1.3680043.8.498.77"


def read(path: Path) -> ReadImage:
    (image,) = next(read_in_batches([path], 32, "pad", 1, MAXIMUM_PIXELS))
    assert isinstance(image, ReadImage)
    return image


def written(source: Path, run: str = "r-1") -> Dataset:
    file = BytesIO()
    secondary_capture(PICTURE, read(source), run).save_as(file, enforce_file_format=True)
    file.seek(0)
    return dcmread(file)


@pytest.fixture
def source(write_phantom: Write) -> Path:
    return write_phantom(
        SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Zoë", PatientBirthDate="20200131",
        PatientSex="F", StudyInstanceUID=STUDY, StudyDate="20240305", AccessionNumber="A7",
        InstanceNumber=4, LossyImageCompression="01", LossyImageCompressionRatio="12",
        InstitutionName="North",
    )  # fmt: skip


def test_the_pixels_are_the_picture(source: Path) -> None:
    capture = written(source)
    np.testing.assert_array_equal(capture.pixel_array, PICTURE)
    assert (capture.PhotometricInterpretation, capture.BitsStored) == ("RGB", 8)


def test_patient_and_study_are_the_sources(source: Path) -> None:
    capture, header = written(source), dcmread(source)
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex",
                    "StudyInstanceUID", "StudyDate", "AccessionNumber", "InstanceNumber",
                    "LossyImageCompression", "LossyImageCompressionRatio"):  # fmt: skip
        assert capture[keyword].value == header[keyword].value, keyword
    assert str(capture.PatientName) == "Müller^Zoë"
    (reference,) = capture.SourceImageSequence
    assert reference.ReferencedSOPInstanceUID == header.SOPInstanceUID
    assert reference.ReferencedSOPClassUID == header.SOPClassUID
    assert capture.SeriesInstanceUID != header.SeriesInstanceUID
    assert "WindowCenter" not in capture
    assert "InstitutionName" not in capture


def test_it_says_what_it_is(source: Path) -> None:
    capture = written(source)
    assert capture.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
    assert capture.file_meta.MediaStorageSOPClassUID == capture.SOPClassUID
    assert capture.file_meta.MediaStorageSOPInstanceUID == capture.SOPInstanceUID
    assert (capture.Modality, capture.ConversionType) == ("OT", "WSD")
    assert capture.BurnedInAnnotation == "YES"
    assert list(capture.ImageType)[:2] == ["DERIVED", "SECONDARY"]
    assert "not a diagnosis" in capture.ImageComments
    assert "not a medical device" in capture.ImageComments
    assert "r-1" in capture.ImageComments


MANDATORY = {  # PS3.3 A.8.1: what these modules want with a value (1), and at least empty (2)
    1: ["StudyInstanceUID", "Modality", "SeriesInstanceUID", "ConversionType", "SOPClassUID",
        "SOPInstanceUID", "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns",
        "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData",
        "PlanarConfiguration"],
    2: ["PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
        "ReferringPhysicianName", "StudyID", "AccessionNumber", "SeriesNumber", "Manufacturer",
        "InstanceNumber", "PatientOrientation"],
}  # fmt: skip


def test_mandatory_attributes_are_there_whatever_the_source(tmp_path: Path, source: Path) -> None:
    png = tmp_path / "plain.png"
    Image.fromarray(np.arange(1600, dtype=np.uint16).reshape(40, 40)).save(png)
    for file in (source, png):
        capture = written(file)
        assert all(capture[keyword].value not in (None, "") for keyword in MANDATORY[1])
        assert all(keyword in capture for keyword in MANDATORY[2])
        for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
            assert UID(capture[keyword].value).is_valid
    assert written(png).PatientID == ""
    assert "SourceImageSequence" not in written(png)


def test_the_identifiers_follow_from_run_and_content(
    tmp_path: Path, source: Path, write_phantom: Write
) -> None:
    copy = tmp_path / "copy.dcm"
    copy.write_bytes(source.read_bytes())
    other = write_phantom("other.dcm", 1, StudyInstanceUID=STUDY)
    first = written(source)
    assert written(copy) == first
    assert written(other).SeriesInstanceUID == first.SeriesInstanceUID
    assert written(other).SOPInstanceUID != first.SOPInstanceUID
    later = written(source, "r-2")
    assert later.StudyInstanceUID == first.StudyInstanceUID
    assert later.SeriesInstanceUID != first.SeriesInstanceUID
    assert later.SOPInstanceUID != first.SOPInstanceUID


def test_sequences_of_the_source_are_copied(write_phantom: Write) -> None:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "113100", "DCM", "Basic"
    path = write_phantom(
        PatientIdentityRemoved="YES", DeidentificationMethodCodeSequence=Sequence([code])
    )
    assert written(path).DeidentificationMethodCodeSequence[0].CodeValue == "113100"
