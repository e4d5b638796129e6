"""Four synthetic hospitals: folders as a site provides them, drawn rather than collected."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from openpyxl import Workbook
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset

from shared.errors import SiteError
from shared.phantoms.chest import draw_chest
from shared.seeds import derive_seed

Outcomes = Iterator[tuple[bool, str]]
SOP_CLASSES = {
    "CR": uid.ComputedRadiographyImageStorage,
    "DX": uid.DigitalXRayImageStorageForPresentation,
}
MARK = "# A synthetic hospital: drawn radiographs, invented patients.\n"
SITE_TOML = """[site]
name = "{name}"
[data]
images = "images"
labels = "{labels}"
patient = "patient_id"
image = "image"
outcome = "bpd"
positive = ["moderate", "severe"]
negative = ["no", "mild"]
covariate = "irds"
[compute]
device = "auto"
cache = "cache"
[policy]
min-cell = 5
"""


@dataclass(frozen=True)
class HospitalProfile:
    """How many patients a hospital has and how its equipment writes their radiographs."""

    name: str
    patients: int  # with a known outcome
    ungraded: int  # further patients whose outcome is "unknown"
    prevalence: float  # share of `patients` with moderate or severe disease
    images: tuple[float, float, float]  # chances that a patient has 1, 2 or 3 images
    labels: str  # labels.csv or labels.xlsx
    modality: str  # DX or CR
    photometric: str  # MONOCHROME1 or MONOCHROME2
    bits: int  # stored, up to 16
    signed: bool
    compressed: bool  # RLE lossless instead of Explicit VR Little Endian
    window: bool  # a VOI window over the used grey values
    contrast: float  # share of the grey values that is used
    gamma: float  # exponent on the phantom's grey values
    shape: tuple[float, float]  # rows and columns as shares of the image side


# A validation share of 0.2 holds 5 patients of each class, a site's usual min-cell.
HOSPITALS: tuple[HospitalProfile, ...] = (
    HospitalProfile("north", 72, 3, 0.375, (0.80, 0.15, 0.05), "labels.csv", "DX", "MONOCHROME2",
                    12, False, False, window=True, contrast=0.9, gamma=1.0, shape=(1.0, 1.0)),
    HospitalProfile("east", 56, 2, 0.500, (0.85, 0.10, 0.05), "labels.xlsx", "CR", "MONOCHROME1",
                    10, False, False, window=False, contrast=0.7, gamma=0.8, shape=(1.0, 0.875)),
    HospitalProfile("south", 64, 4, 0.600, (0.50, 0.30, 0.20), "labels.csv", "DX", "MONOCHROME2",
                    14, False, True, window=True, contrast=0.5, gamma=1.3, shape=(0.875, 1.0)),
    HospitalProfile("west", 54, 1, 0.450, (0.70, 0.20, 0.10), "labels.csv", "CR", "MONOCHROME2",
                    12, True, False, window=False, contrast=1.0, gamma=0.9, shape=(1.0, 0.9375)),
)  # fmt: skip


def write_hospitals(
    folder: Path,
    profiles: Sequence[HospitalProfile] = HOSPITALS,
    seed: int = 0,
    image_side: int = 256,
) -> list[Path]:
    """Write `folder/<name>/{site.toml, labels, images/*.dcm}` for each profile; return the folders.

    `image_side` is the longer side of the images in pixels. Equal arguments give equal bytes.
    Raises SiteError where a folder holds something else, ValueError for an image side below 32.
    """
    return [_write_hospital(folder / p.name, p, seed, image_side) for p in profiles]


def _write_hospital(site: Path, profile: HospitalProfile, seed: int, image_side: int) -> Path:
    settings = site / "site.toml"
    ours = settings.is_file() and settings.read_text(encoding="utf-8").startswith(MARK)
    if site.exists() and any(site.iterdir()) and not ours:
        raise SiteError(f"{site} exists and is not a synthetic hospital; choose another folder.")
    site.mkdir(parents=True, exist_ok=True)
    text = MARK + SITE_TOML.format(name=profile.name, labels=profile.labels)
    settings.write_bytes(text.encode())  # first: whoever was killed in between may begin again
    (site / "images").mkdir(exist_ok=True)
    rng = np.random.default_rng(derive_seed(seed, profile.name, "patients"))
    rows: list[tuple[str | int, ...]] = [("patient_id", "image", "bpd", "irds")]
    for number, (diseased, grade) in enumerate(_draw_outcomes(rng, profile), start=1):
        patient = f"{profile.name[0].upper()}{number:04d}"
        irds = int(np.clip(np.rint(rng.normal(2.2 + 0.4 * diseased, 0.9)), 1, 4))
        for index in range(1, int(rng.choice(3, p=profile.images)) + 2):
            file, seeds = f"{patient}_{index}.dcm", (seed, profile.name, patient, index)
            strokes = np.random.default_rng(derive_seed(*seeds))
            phantom = draw_chest(strokes, image_side, finding=diseased)
            radiograph = _radiograph(profile, phantom, patient, (image_side, *seeds))
            radiograph.save_as(site / "images" / file, enforce_file_format=True)
            rows.append((patient, file, grade, irds))
    write = _write_xlsx if profile.labels.endswith(".xlsx") else _write_csv
    write(site / profile.labels, rows)
    return site


def _draw_outcomes(rng: np.random.Generator, profile: HospitalProfile) -> Outcomes:
    """Disease and recorded grade of each patient, in random order; the class counts are exact."""
    with_disease = round(profile.patients * profile.prevalence)
    for place in rng.permutation(profile.patients + profile.ungraded):
        graded = bool(place < profile.patients)
        diseased = bool(place < with_disease if graded else rng.random() < profile.prevalence)
        grade = str(rng.choice(["moderate", "severe"] if diseased else ["no", "mild"]))
        yield diseased, grade if graded else "unknown"


def _radiograph(
    profile: HospitalProfile,
    phantom: NDArray[np.float32],
    patient: str,
    identity: tuple[str | int, ...],
) -> Dataset:
    """The phantom as a DX (PS3.3 A.26) or CR (PS3.3 A.2) image; `identity` makes the UIDs."""
    inverse, source = profile.photometric == "MONOCHROME1", [str(part) for part in identity]
    study, series, instance = (uid.generate_uid(entropy_srcs=[*source, level]) for level in "123")
    image, image.file_meta = Dataset(), FileMetaDataset()
    image.file_meta.ImplementationClassUID = uid.generate_uid(entropy_srcs=["fedthaw phantoms"])
    image.file_meta.ImplementationVersionName = "FEDTHAW"
    for keyword, value in {
        "SOPClassUID": SOP_CLASSES[profile.modality], "SOPInstanceUID": instance,
        "StudyInstanceUID": study, "SeriesInstanceUID": series, "Modality": profile.modality,
        "PatientID": patient, "PatientName": f"Phantom^{patient}", "PatientBirthDate": "",
        "PatientSex": "O", "StudyDate": "20000101", "StudyTime": "120000", "StudyID": "1",
        "SeriesNumber": 1, "InstanceNumber": identity[-1], "AccessionNumber": "",
        "ReferringPhysicianName": "", "Manufacturer": "Synthetic", "BodyPartExamined": "CHEST",
        "ViewPosition": "AP", "PatientOrientation": ["L", "F"], "ImageLaterality": "U",
        "ImageType": ["ORIGINAL", "PRIMARY", ""], "BurnedInAnnotation": "NO",
        "PresentationIntentType": "FOR PRESENTATION", "PixelIntensityRelationship": "LOG",
        "PixelIntensityRelationshipSign": 1 if inverse else -1, "RescaleIntercept": 0,
        "RescaleSlope": 1, "RescaleType": "US", "LossyImageCompression": "00",
        "PresentationLUTShape": "INVERSE" if inverse else "IDENTITY",
    }.items():  # fmt: skip
        setattr(image, keyword, value)
    stored, image.WindowCenter, image.WindowWidth = _stored_values(profile, phantom)
    if not profile.window:
        del image.WindowCenter, image.WindowWidth
    image.set_pixel_data(stored, profile.photometric, profile.bits, generate_instance_uid=False)
    if profile.compressed:
        image.compress(uid.RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    return image


def _stored_values(
    profile: HospitalProfile, phantom: NDArray[np.float32]
) -> tuple[NDArray[np.int16 | np.uint16], float, int]:
    """Stored values, and centre and width of their window (PS3.3 C.11.2.1.2.1)."""
    peak, zero = 2**profile.bits - 1, 2 ** (profile.bits - 1) if profile.signed else 0
    low = round(peak * (1.0 - profile.contrast) / 2)
    high = peak - low
    height, width = (round(len(phantom) * share) for share in profile.shape)
    top, left = (len(phantom) - height) // 2, (len(phantom) - width) // 2
    shade = phantom[top : top + height, left : left + width] ** profile.gamma
    shade = 1.0 - shade if profile.photometric == "MONOCHROME1" else shade
    values = np.rint(low + (high - low) * shade) - zero
    stored = values.astype(np.int16 if profile.signed else np.uint16)
    return stored, (low + high + 1) / 2 - zero, high - low + 1


def _write_csv(path: Path, rows: Sequence[tuple[str | int, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle, lineterminator="\n").writerows(rows)


def _write_xlsx(path: Path, rows: Sequence[tuple[str | int, ...]]) -> None:
    """An Excel workbook without the times of writing that openpyxl puts into it."""
    book, dated = Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(dated)
    with zipfile.ZipFile(dated) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            content = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", b"2000-01-01T00:00:00Z",
                             source.read(name))  # fmt: skip
            target.writestr(zipfile.ZipInfo(name), content)
